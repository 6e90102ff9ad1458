import { describe, expect, it } from 'vitest'
import type { Cell, Kpi, ScorecardRow } from '../../api/client'
import { against, dimensionOf, furthest, telling } from './data'

const cell = (value: number | null, state: Cell['state'] = 'value', cases: number | null = 100): Cell =>
  ({ period: '2024', from: '2024-01-01', to: '2024-12-31', numerator: null, denominator: null, value, state, cases, open: false, closed: null, corrected: null, simulated: false }) as unknown as Cell
const row = (kpi: string, unit: string, direction: ScorecardRow['direction'], of: Cell | null): ScorecardRow => ({ kpi, unit, direction, cell: of, title: {}, months: [], targets: [] }) as unknown as ScorecardRow
const kpi = (id: string, dimensions: [string, string][], unit = 'percent', kinds: string[] = []): Kpi =>
  ({ id, unit, dimensions: dimensions.map(([name, to]) => ({ name, to })), targets: kinds.map((kind) => ({ kind })) }) as unknown as Kpi

describe('against', () => {
  const nation = [row('share', 'percent', 'up', cell(70)), row('hours', 'hours', 'down', cell(10)), row('n', 'count', 'up', cell(200)), row('gone', 'percent', 'up', cell(50)), row('hidden', 'percent', 'up', cell(50))]
  it('tells points, parts of a sum, and which side is better', () => {
    const { told } = against([row('share', 'percent', 'up', cell(84)), row('hours', 'hours', 'down', cell(12)), row('n', 'count', 'up', cell(50))], nation)
    expect(told.map((a) => [a.row.kpi, a.difference, a.share, a.verdict])).toEqual([['share', 14, null, 'better'], ['hours', 2, null, 'worse'], ['n', null, 0.25, null]])
  })
  it('leaves out what the place has no case of, and keeps what is hidden or not reported', () => {
    const { told, silent } = against([row('gone', 'percent', 'up', cell(null, 'not_applicable', 0)), row('hidden', 'percent', 'up', cell(null, 'suppressed', null)), row('share', 'percent', 'up', cell(null, 'not_provided', null)), row('n', 'count', 'up', cell(0, 'zero', 0))], nation)
    expect(told.map((a) => a.row.kpi)).toEqual(['hidden', 'share'])
    expect(told.every((a) => a.difference === null && a.share === null && a.verdict === null)).toBe(true)
    expect(silent.map((r) => r.kpi)).toEqual(['gone', 'n'])
  })
  it('judges no few cases and no difference that chance explains', () => {
    const { told } = against([row('share', 'percent', 'up', cell(90, 'value', 29)), row('gone', 'percent', 'up', cell(59.9)), row('hidden', 'percent', 'up', cell(60.1)), row('hours', 'hours', 'down', cell(10.4))], nation)
    expect(told.map((a) => a.verdict)).toEqual([null, 'same', 'better', 'same'])
  })
  it('holds what falls to an inhabitant only against places that have them', () => {
    const per = (of: number) => [row('share', 'per_1000_inhabitants', 'up', cell(of))]
    expect(against(per(1), per(2)).told[0]!.verdict).toBe('worse')
    expect(against(per(1), per(2), false).told[0]!.verdict).toBeNull()
  })
  it('names the furthest shares, largest first', () => {
    const { told } = against([row('share', 'percent', 'up', cell(50)), row('gone', 'percent', 'up', cell(20)), row('hidden', 'percent', 'up', cell(65)), row('hours', 'hours', 'down', cell(900))], nation)
    expect(furthest(told, 'worse').map((a) => a.row.kpi)).toEqual(['gone', 'share'])
    expect(furthest(told, 'better').map((a) => a.row.kpi)).toEqual(['hidden'])
  })
})

describe('KPIs of a dimension', () => {
  const kpis = [kpi('a', [['consumer', 'organisations'], ['agency', 'organisations']]), kpi('b', [['agency', 'organisations']], 'count', ['target']), kpi('c', [['agency', 'organisations']], 'percent', ['target']), kpi('d', [['region', 'regions']]), kpi('e', [['agency', 'organisations']], 'percent', ['claim']), kpi('f', [['agency', 'organisations']], 'percent', ['claim', 'result'])]
  it('finds the dimension that most know a table by', () => {
    expect(dimensionOf(kpis, 'organisations')).toBe('agency')
    expect(dimensionOf(kpis, 'planets')).toBeUndefined()
  })
  it('puts shares that somebody asked for first', () => {
    expect(telling(kpis, 'agency').map((k) => k.id)).toEqual(['c', 'f', 'e', 'a', 'b'])
  })
  it('leaves out those that a reader of one consumer cannot ask', () => {
    expect(telling(kpis, 'agency', 'consumer').map((k) => k.id)).toEqual(['a'])
  })
})
