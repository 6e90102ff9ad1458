import { describe, expect, it } from 'vitest'
import type { Change, ScorecardRow } from '../../api/client'
import { inOrder } from './order'

const figure = (value: number | null, comparison: object | null = null) => ({ value, state: value === null ? 'not_provided' : 'value', comparison })
const change = (kpi: string, part: object = {}) => ({ kpi, unit: 'percent', was: figure(70), now: figure(71), difference: 1, settled: [], targets: [], ...part }) as unknown as Change
const first = (kpi: string, part: object = {}) => change(kpi, { was: null, difference: null, ...part })
const row = (kpi: string, ...targets: object[]) => ({ kpi, trend: kpi.startsWith('worse') ? 'worse' : '', targets }) as unknown as ScorecardRow
const names = (list: Change[]) => list.map((c) => c.kpi)

describe('the order of the Monday sheet', () => {
  it('is verdicts, new figures behind their target, months that had ended, then the largest moves', () => {
    const list = [
      first('new'),
      change('small'),
      change('large', { difference: -9 }),
      change('month', { difference: 0, settled: [{ was: 1, now: 2 }] }),
      first('behind'),
      change('reached', { targets: [{ kind: 'target', status: 'reached', was: 'open' }] }),
      change('missed', { targets: [{ kind: 'target', status: 'missed', was: 'open' }] }),
    ]
    const rows = [row('behind', { kind: 'target', status: 'open', value: 75, gap: 16 }), row('small', { kind: 'target', status: 'off_course', value: 75, gap: 16 })]
    expect(names(inOrder(list, rows))).toEqual(['missed', 'reached', 'behind', 'month', 'large', 'small', 'new'])
  })
  it('holds moves of counts by percent of what they were', () => {
    const list = [change('points', { difference: 4 }), change('many', { unit: 'count', was: figure(1000), difference: 30 }), change('few', { unit: 'count', was: figure(100), difference: 30 })]
    expect(names(inOrder(list))).toEqual(['few', 'points', 'many'])
  })
  it('of a new folder names the targets by how far they are off, then what is worse than before, then the largest change, then what was claimed and does not hold', () => {
    const list = [
      first('plain'), first('claimed'), first('grew', { now: figure(50, { difference: 8, change: 19 }) }),
      first('worse', { now: figure(50, { difference: -2, change: -4 }) }), first('near'), first('far'), first('late'),
    ]
    const asked = (kpi: string, status: string, gap: number) => row(kpi, { kind: 'target', status, value: 100, gap, holds: null })
    const rows = [row('worse'), asked('near', 'open', 10), asked('far', 'open', 40), asked('late', 'off_course', 5), row('claimed', { kind: 'claim', status: 'published', holds: false })]
    expect(names(inOrder(list, rows))).toEqual(['late', 'far', 'near', 'worse', 'grew', 'claimed', 'plain'])
  })
})
