import { isDay } from './period'

// Parts of the address that are plain text. A page that needs another names it here.
const texts = [
  'lang', 'grain', 'by', 'compare',
  'on', 'q', 'tab', 'view', 'sort', 'known_on', 'version', 'variant', 'against',
  'query', 'agency', 'service', 'status', 'stage', 'kind', 'owner', 'programme', 'priority', 'rule', 'source', 'severity',
] as const

// What the address holds besides the path. Unknown or malformed parts are left
// out, so that an old link still opens.
export interface Search extends Partial<Record<(typeof texts)[number], string | undefined>> {
  from?: string | undefined
  to?: string | undefined
  where?: string[] | undefined
  since?: string | undefined // a day
  show?: 'table' | undefined
}

export function readSearch(text: string): Search {
  const params = new URLSearchParams(text)
  const one = (name: string) => params.get(name) || undefined
  const from = one('from')
  const to = one('to')
  const since = one('since')
  const where = params.getAll('where').filter((w) => w.indexOf('=') > 0)
  const search: Search = {
    lang: one('lang'), from: isDay(from) ? from : undefined, to: isDay(to) ? to : undefined,
    ...Object.fromEntries(texts.map((name) => [name, one(name)])), where: where.length ? where : undefined,
    since: isDay(since) ? since : undefined, show: one('show') === 'table' ? 'table' : undefined,
  }
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as Search
}

export function writeSearch(search: Search): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(search)) {
    if (Array.isArray(value)) for (const item of value) params.append(name, item)
    else if (value !== undefined && value !== '') params.set(name, String(value))
  }
  const text = params.toString()
  return text ? '?' + text : ''
}

// filters are the where parts as pairs.
export const filters = (search: Search): { name: string; value: string; text: string }[] =>
  (search.where ?? []).map((text) => ({ name: text.slice(0, text.indexOf('=')), value: text.slice(text.indexOf('=') + 1), text }))

export const withFilter = (search: Search, name: string, value: string): string[] => [...(search.where ?? []), `${name}=${value}`]
export const withoutFilter = (search: Search, text: string): string[] | undefined => {
  const rest = (search.where ?? []).filter((w) => w !== text)
  return rest.length ? rest : undefined
}
