import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { address, ApiError, type Dimension, get, type Kpi, type Question, type Target, type Values, valuesPath, type Version } from '../../api/client'
import type { components } from '../../api/schema'
import { stepFor } from '../../period'
import { filters, type Search } from '../../search'

export type Why = components['schemas']['Why']
export type Movers = components['schemas']['Movers']
export type Gap = components['schemas']['Gap']
export type Findings = components['schemas']['Findings']
export type Quality = components['schemas']['Quality']
export type Sql = components['schemas']['SQL']

// Asked is what the address says of one KPI, with what it leaves out filled in.
export interface Asked {
  search: Search // the address as it is shown: while a new one is being drawn, the one before
  version: Version // of which the page speaks
  scope: Question // period, filters, definition and knowledge: the same in every question
  grain: string
  grains: string[] // that the definition offers
  by: string // '' when there is no dimension
  alone: boolean // whether published tables are all that is told
  offered: Dimension[] // by which it can be broken down as it is filtered
  compare: string | undefined
  beside: string | undefined // what each point of the line is held against: the point a year earlier, for the one before it is on the line
}

const comparisons = ['none', 'previous', 'year', 'national']

// askedOf fills in what an address leaves out: the default definition, the grain at which
// the period makes a line that can be read, the first dimension that is a place, the
// period before as comparison where a period is given; also for what the
// address asks and the figure has not, of which the page tells. outside is a reader to whom only what
// was published is told.
export function askedOf(kpi: Kpi, search: Search, outside = false): Asked {
  const variant = kpi.versions.some((v) => v.variant === search.variant) ? search.variant : undefined
  const named = kpi.versions.filter((v) => v.variant === (variant ?? ''))
  const wanted = named.find((v) => String(v.version) === search.version)
  const version = wanted ?? named.at(-1) ?? kpi.versions.at(-1)!
  const alone = outside || version.published_only
  const grains = alone ? version.published_periods : version.basis === 'reported' ? ['window'] : version.periods.length ? version.periods : ['day', 'week', 'month', 'quarter', 'year']
  const usual = stepFor(search)
  const offered = offeredOf({ version, alone }, filters(search).map((f) => f.name))
  const dimension = offered.find((d) => d.name === search.by) ?? offered.find((d) => d.to === 'regions' && !filtered(search, d.name)) ?? offered.find((d) => !filtered(search, d.name)) ?? offered[0]
  const compare = comparisons.find((c) => c === search.compare) ?? (search.from && search.to ? 'previous' : undefined)
  return {
    search,
    version,
    scope: { from: search.from, to: search.to, where: search.where, known_on: search.known_on, version: wanted && search.version, variant },
    grain: grains.find((g) => g === search.grain) ?? (grains.includes(usual) ? usual : grains[0] ?? ''),
    grains,
    by: dimension?.name ?? '',
    alone,
    offered,
    compare: compare === 'none' ? undefined : compare,
    beside: compare === 'none' ? undefined : compare === 'previous' && version.basis !== 'reported' ? 'year' : compare,
  }
}

// offeredOf are the dimensions by which a figure can be broken down that is filtered by some:
// all of them, or those of which there is a published table.
export function offeredOf({ version, alone }: Pick<Asked, 'version' | 'alone'>, filtered: string[]): Dimension[] {
  if (!alone) return version.dimensions
  return version.dimensions.filter((d) => {
    const asked = new Set([...filtered, d.name])
    return version.published.some((table) => table.length === asked.size && table.every((name) => asked.has(name)))
  })
}

// counted says whether the cases that are missing to a figure can be listed: those of a share
// of counts, or of a stock. What it says no of the API would refuse.
export const counted = (v: Version): boolean => /^count(If)?\(/.test(v.numerator) && (/^count(If)?\(/.test(v.denominator) || (v.denominator === '' && v.basis === 'stock'))

// additive says whether a change can be taken apart: quantiles and distinct counts are no sum
// over units.
export const additive = (v: Version): boolean => v.numerator !== ''

export const filtered = (search: Search, dimension: string) => search.where?.some((w) => w.startsWith(dimension + '=')) ?? false

// coarse is the grain of a table of periods that is read at a glance: at most some two
// dozen of them.
export function coarse(days: { from: string | null; to: string | null }, grains: string[]): string {
  const length = days.from && days.to ? (Date.parse(days.to) - Date.parse(days.from)) / 86_400_000 + 1 : 366
  const wish = length <= 14 ? 'day' : length <= 120 ? 'week' : length <= 730 ? 'month' : length <= 2200 ? 'quarter' : 'year'
  const order = ['day', 'week', 'month', 'quarter', 'year']
  return order.slice(order.indexOf(wish)).find((g) => grains.includes(g)) ?? grains[0]!
}

// ownTargets are what was published of exactly what is shown: of the filtered part, by the
// definition that is used. Their filter is taken off, since it is that of the page.
export function ownTargets(kpi: Kpi, search: Search): Target[] {
  const where = (search.where ?? []).toSorted().join('&')
  return kpi.targets
    .filter((t) => t.variant === (search.variant ?? '') && Object.entries(t.where).map(([k, v]) => `${k}=${v}`).toSorted().join('&') === where)
    .map((t) => ({ ...t, where: {} }))
}

// next is the dimension by which a part is broken down when it is opened: one that is not
// filtered yet, a finer place first.
export function next(asked: Pick<Asked, 'version' | 'alone'>, search: Search, by: string): string {
  const left = offeredOf(asked, [...filters(search).map((f) => f.name), by]).filter((d) => d.name !== by && !filtered(search, d.name))
  return (left.find((d) => d.to === 'districts') ?? left[0])?.name ?? by
}

export function useKpi(id: string) {
  return useQuery({ queryKey: ['kpi', id], queryFn: ({ signal }) => get<Kpi>(`/v1/kpis/${encodeURIComponent(id)}`, signal) })
}

// useValues keeps what it shows while the next answer of the same KPI is on its way.
export function useValues(id: string, question: Question, enabled = true) {
  return useQuery({
    queryKey: ['values', id, question],
    queryFn: ({ signal }) => get<Values>(address(valuesPath(id), question), signal),
    placeholderData: keepPreviousData,
    enabled,
  })
}

// useSeries and useParts are the two questions by which the figure is drawn: over time, and
// broken down.
export const useSeries = (id: string, asked: Asked) => useValues(id, { ...asked.scope, grain: asked.grain, compare: asked.beside })
export const useParts = (id: string, asked: Asked) => useValues(id, { ...asked.scope, by: asked.by, compare: asked.compare }, asked.by !== '')

// useAbout asks a further question of a KPI: why, movers, gap, sql.
export function useAbout<T>(id: string, what: 'values' | 'why' | 'movers' | 'gap' | 'sql', question: Question, enabled: boolean) {
  return useQuery({
    queryKey: [what, id, question],
    queryFn: ({ signal }) => get<T>(address(`/v1/kpis/${encodeURIComponent(id)}/${what}`, question), signal),
    placeholderData: keepPreviousData,
    enabled,
    retry: (times, error) => times < 3 && !(error instanceof ApiError && error.status < 500 && error.status !== 429 && error.status !== 0),
  })
}
