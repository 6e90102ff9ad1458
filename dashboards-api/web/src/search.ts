import { isDay } from './period'
import { languages } from './words'

// Parts of the address that are plain text. A page that needs another names it here; what a text
// can be is known where it is used.
const texts = [
  'grain', 'by', 'compare',
  'q', 'tab', 'view', 'sort', 'version', 'variant', 'against',
  'query', 'agency', 'service', 'status', 'stage', 'kind', 'owner', 'programme', 'priority', 'rule', 'source', 'severity',
] as const

const days = ['from', 'to', 'on', 'known_on', 'since'] as const // YYYY-MM-DD

// What the address holds besides the path.
export interface Search extends Partial<Record<(typeof texts)[number] | (typeof days)[number], string | undefined>> {
  lang?: string | undefined
  where?: string[] | undefined // each name=value
  show?: 'table' | undefined
  unread?: string[] | undefined // parts that say nothing here, each as it was written: the reader is told of them
}

// Parts that are no plain text, each with what it must be.
const read: Record<string, (value: string) => boolean> = {
  ...Object.fromEntries(days.map((name) => [name, isDay])),
  lang: (value) => (languages as readonly string[]).includes(value),
  where: (value) => value.indexOf('=') > 0,
  show: (value) => value === 'table',
}

// parts are the names of all that an address can say.
export const parts = [...texts, ...Object.keys(read)].sort()

// kindOf is what a part of that name must be.
export const kindOf = (name: string): 'day' | 'lang' | 'where' | 'show' | 'unknown' =>
  (days as readonly string[]).includes(name) ? 'day' : name === 'lang' || name === 'where' || name === 'show' ? name : 'unknown'

export function readSearch(text: string): Search {
  const search: Search = {}
  const unread: string[] = []
  for (const [name, value] of new URLSearchParams(text)) {
    if (value === '') continue
    const fits = read[name] ?? (() => (texts as readonly string[]).includes(name))
    if (!fits(value)) unread.push(`${name}=${value}`)
    else if (name === 'where') search.where = [...(search.where ?? []), value]
    else search[name as 'lang'] ??= value
  }
  if (unread.length) search.unread = unread
  return search
}

export function writeSearch({ unread, ...search }: Search): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(search)) {
    if (Array.isArray(value)) for (const item of value) params.append(name, item)
    else if (value !== undefined && value !== '') params.set(name, String(value))
  }
  // What was not read stays, until something better is said in its place.
  for (const part of unread ?? []) {
    const name = part.slice(0, part.indexOf('='))
    if (!params.has(name)) params.append(name, part.slice(name.length + 1))
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
