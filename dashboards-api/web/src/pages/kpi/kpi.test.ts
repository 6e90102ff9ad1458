import { describe, expect, it } from 'vitest'
import type { Cell, Kpi, Target, Values } from '../../api/client'
import type { Voice } from '../../finding'
import { ofFigure, rowOf } from './Replies'
import { askedOf, coarse, counted, next, ownTargets } from './question'
import { exactly, headline, lastOf, lineSays, partsSay } from './says'
import { words } from './words'

const voice = (language: string): Voice => ({ language, zone: 'Asia/Tashkent', labels: {} })

const cell = (part: Partial<Cell> & Record<string, unknown> = {}): Cell => ({
  period: '2024', from: '2024-01-01', to: '2024-12-31', numerator: 74, denominator: 100, value: 74, state: 'value', cases: 100,
  open: false, closed: null, corrected: null, simulated: false, coverage: null, ...part,
} as Cell)

const values = (cells: Cell[], part: Partial<Values> = {}): Values => ({
  kpi: 'online', title: { en: 'Processed online', uz: 'Onlayn koʻrib chiqilgan', ru: 'Обработано онлайн' }, unit: 'percent', direction: 'up', owner: 'm', basis: 'events', version: 1,
  from: '2024-01-01', to: '2024-12-31', grain: '', by: [], where: {}, known_on: null, audience: 'inside', data_through: null, loaded: null, simulated: false,
  definition: { from: [], at: 'time', source: '', valid_from: null, valid_to: null, exact: true }, coverage: null, cells,
  names: { region: { a: { en: 'Andijan', ru: 'Андижан', uz: 'Andijon' }, b: { en: 'Bukhara', ru: 'Бухара', uz: 'Buxoro' } } }, ...part,
} as Values)

const dimension = (name: string, to = '') => ({ name, title: {}, type: 'code', to, values: [] })
const dimensions = [dimension('service', 'services'), dimension('region', 'regions'), dimension('district', 'districts')]
const version = (part: object) => ({ version: 1, variant: '', valid: { from: null, to: null }, source: '', source_names: { en: '' }, basis: 'events', from: ['request.decided'], formula: 'countIf(x) ÷ count()', numerator: 'countIf(x)', denominator: 'count()', of: '', if: '', quantiles: [], at: '', grain: 'day', grains: [], rollups: [], dimensions, matures: 0, periods: ['day', 'week', 'month', 'quarter', 'year'], published: [], published_periods: ['quarter', 'year'], published_only: false, ...part }) as Kpi['versions'][number]
const kpi = (part: Partial<Kpi> = {}): Kpi => ({
  id: 'online', title: {}, about: {}, group: '', owner: 'm', owner_names: {}, unit: 'percent', direction: 'up', ranked_by: '',
  dimensions, versions: [version({})], targets: [], ...part,
})

const comparison = (difference: number) => ({ period: '2023', value: 70, state: 'value' as const, difference, change: 1 })
const byRegion = (differences: number[]) => values(differences.map((d, i) => cell({ region: 'ab'[i], value: 70 + 5 * i, comparison: comparison(d) })), { by: ['region'], compare: 'previous' })

describe('headline', () => {
  it('says in how many regions, in the reader’s language', () => {
    const [whole, parts] = [values([cell()]), byRegion([1, 2])]
    expect(headline(kpi(), whole, parts, 'region', voice('en'))).toBe('Processed online: rose in 2 of 2 regions')
    expect(headline(kpi(), whole, parts, 'region', voice('ru'))).toBe('Обработано онлайн: рост в 2 из 2 регионов')
    expect(headline(kpi(), whole, parts, 'region', voice('uz'))).toBe('Onlayn koʻrib chiqilgan: 2 hududdan 2 tasida oʻsdi')
    expect(headline(kpi(), whole, byRegion([-1, -2]), 'region', voice('en'))).toBe('Processed online: fell in 2 of 2 regions')
  })
  it('does not take a distance from the whole for a rise', () => {
    expect(headline(kpi(), values([cell()], { compare: 'national' }), byRegion([1, 2]), 'region', voice('en'))).not.toContain('rose')
  })
})

describe('sentences of charts', () => {
  const months = [1, 2, 3].map((n) => cell({ period: `2024-0${n}`, value: [60, 90, 80][n - 1] }))
  it('tell a line by its ends, its height and its silence', () => {
    expect(lineSays(values([...months, cell({ period: '2024-04', value: null, state: 'not_provided' })]), voice('en'))).toBe('From 60.0\u00a0% in January 2024 to 80.0\u00a0% in March 2024; highest 90.0\u00a0% in February 2024; no report for 1 of 4')
    expect(lineSays(values(months), voice('ru'))).toBe('От 60,0\u00a0% (январь 2024) до 80,0\u00a0% (март 2024); наибольшее 90,0\u00a0%, февраль 2024')
    expect(lineSays(values(months.slice(0, 1)), voice('uz'))).toBe('2024-yil yanvar: 60,0\u00a0%')
    expect(lineSays(values([cell({ value: null, state: 'suppressed' })]), voice('en'))).toBe('No figure in this period')
  })
  it('tell parts by how far apart they are, and name none that is too small', () => {
    expect(partsSay(byRegion([0, 0]), 'region', voice('ru'))).toBe('От 70,0\u00a0% (Андижан) до 75,0\u00a0% (Бухара)')
    const small = values([cell({ region: 'a' }), cell({ region: 'b', value: 1, denominator: 0.5 })])
    expect(partsSay(small, 'region', voice('en'))).toBe('')
  })
  it('write parts of a change so that they add up', () => {
    expect([0.14, 2.35, -2.49, 0].map((v) => exactly(v, 'percent', 'en'))).toEqual(['+0.14', '+2.35', '−2.49', '0.00'])
    expect(exactly(-2844, 'count', 'ru')).toBe('−2\u00a0844')
  })
})

describe('what the address leaves out', () => {
  it('is the place, the month and the period before', () => {
    expect(askedOf(kpi(), { from: '2024-01-01', to: '2024-12-31' })).toMatchObject({ by: 'region', grain: 'month', compare: 'previous', beside: 'year' })
    expect(askedOf(kpi(), {})).toMatchObject({ compare: undefined, grain: 'month' })
    expect(askedOf(kpi(), { from: '2024-01-01', to: '2024-12-31', compare: 'none' }).compare).toBeUndefined()
  })
  it('is never what a definition does not offer', () => {
    expect(askedOf(kpi({ versions: [version({ periods: ['quarter', 'year'] })] }), {}).grain).toBe('quarter')
    expect(askedOf(kpi({ versions: [version({ basis: 'reported' })] }), {}).grains).toEqual(['window'])
  })
  it('is the variant that is named, by its newest version', () => {
    const versions = [version({}), version({ version: 2 }), version({ variant: 'reported', version: 1 })]
    expect(askedOf(kpi({ versions }), {}).version.version).toBe(2)
    expect(askedOf(kpi({ versions }), { version: '1' }).version.version).toBe(1)
    expect(askedOf(kpi({ versions }), { variant: 'reported' }).version.variant).toBe('reported')
    const rival = [version({}), version({ variant: 'rival', dimensions: [dimension('agency', 'organisations')] })]
    expect(askedOf(kpi({ versions: rival }), { variant: 'rival' })).toMatchObject({ by: 'agency' }) // that it has, not those of the default
  })
  it('offers of what is told by published tables alone only what has a table', () => {
    const k = kpi({ versions: [version({ published: [[], ['region'], ['region', 'service']], published_periods: ['quarter', 'year'], published_only: true })] })
    expect(askedOf(k, { by: 'district' })).toMatchObject({ by: 'region', grain: 'quarter', grains: ['quarter', 'year'] })
    expect(askedOf(k, { where: ['region=a'] })).toMatchObject({ by: 'service' })
    expect(askedOf(k, { where: ['district=1'] })).toMatchObject({ by: '', offered: [] })
    expect(next(askedOf(k, {}), {}, 'region')).toBe('service')
    expect(next(askedOf(k, { by: 'service', where: ['region=a'] }), { where: ['region=a'] }, 'service')).toBe('service')
    expect(askedOf(kpi(), {}, true).offered).toEqual([])
  })
  it('leads from a region to its districts, then to what is left', () => {
    const asked = askedOf(kpi(), {})
    expect(next(asked, {}, 'region')).toBe('district')
    expect(next(asked, { where: ['district=1'] }, 'region')).toBe('service')
    expect(next(asked, { where: ['district=1', 'service=1'] }, 'region')).toBe('region')
  })
})

it('a table of periods has at most some two dozen of them', () => {
  const all = ['day', 'week', 'month', 'quarter', 'year']
  expect(coarse({ from: '2024-01-01', to: '2024-01-10' }, all)).toBe('day')
  expect(coarse({ from: '2024-01-01', to: '2024-12-31' }, all)).toBe('month')
  expect(coarse({ from: '2014-01-01', to: '2024-12-31' }, all)).toBe('year')
  expect(coarse({ from: '2024-01-01', to: '2024-12-31' }, ['school_quarter', 'quarter'])).toBe('quarter')
})

it('a target of a part is that part’s alone', () => {
  const target = (where: Record<string, string>, variant = '') => ({ kind: 'target', where, variant, value: 75 }) as unknown as Target
  const k = kpi({ targets: [target({}), target({ region: 'a' }), target({}, 'reported')] })
  expect(ownTargets(k, {}).map((t) => t.variant)).toEqual([''])
  expect(ownTargets(k, { where: ['region=a'] })).toEqual([{ ...target({}) }])
  expect(ownTargets(k, { where: ['region=b'] })).toEqual([])
})

it('a gap is listed of shares of counts and of stocks', () => {
  expect(counted(version({}))).toBe(true)
  expect(counted(version({ numerator: 'countIf(x)', denominator: '', basis: 'stock' }))).toBe(true)
  expect(counted(version({ numerator: 'sum(x)', denominator: 'sum(y)' }))).toBe(false)
  expect(counted(version({ numerator: 'count()', denominator: '' }))).toBe(false)
})

it('the last whole quarter and month', () => {
  expect(lastOf('quarter', '2024-12-31')).toEqual({ from: '2024-10-01', to: '2024-12-31' })
  expect(lastOf('quarter', '2024-12-30')).toEqual({ from: '2024-07-01', to: '2024-09-30' })
  expect(lastOf('month', '2024-03-15')).toEqual({ from: '2024-02-01', to: '2024-02-29' })
  expect(lastOf('month', '2024-01-15')).toEqual({ from: '2023-12-01', to: '2023-12-31' })
})

it('replies belong to the figure of exactly their row', () => {
  const reply = (where: Record<string, string>, state = 'dispute') => ({ where, state }) as never
  expect(rowOf({ where: { region: ['a'] } })).toEqual({ region: 'a' })
  expect(rowOf({ where: { region: ['a', 'b'] } })).toBeUndefined()
  expect(ofFigure([reply({}), reply({ region: 'a' }), reply({}, 'withdrawn')], values([cell()]))).toEqual([reply({})])
  expect(ofFigure([reply({}), reply({ region: 'a' })], values([cell()], { where: { region: ['a'] } }))).toEqual([reply({ region: 'a' })])
})

it('every text has the same places in each language', () => {
  const places = (of: unknown, path = ''): string[] => (typeof of === 'string' ? [`${path} ${[...of.matchAll(/\{\w+\}/g)].map(String).sort().join()}`] : Object.entries(of as object).flatMap(([k, v]) => places(v, `${path}.${k}`)))
  expect(places(words.uz)).toEqual(places(words.en))
  expect(places(words.ru)).toEqual(places(words.en))
})
