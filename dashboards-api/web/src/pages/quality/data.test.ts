import { describe, expect, it } from 'vitest'
import { age, expectedOf, type Finding, gapsOf, type QualityRow, refusalOf, sendersOf, type Source, valueOf } from './data'

const source = (id: string, more: Partial<Source>): Source => ({ source: id, title: {}, owner: 'o', promise_seconds: 3600, last_event: null, received: null, events: 0, late: true, ...more })
const row = (id: string, type: string, accepted: number, last: string | null = null): QualityRow => ({ source: id, type, accepted, last_event: last }) as unknown as QualityRow

describe('sendersOf', () => {
  const found = sendersOf(
    [source('kept', { last_event: '2024-01-01T00:00:00Z', late: false, events: 5 }), source('late', { last_event: '2024-01-01T00:00:00Z', events: 7 }), source('quiet', {}), source('played', {}), source('free', { promise_seconds: 0, late: false }), source('simulation/played', { promise_seconds: 0, late: false, last_event: '2024-12-31T10:00:00Z' })],
    [row('simulation/played', 'x.case.opened.v1', 40, '2024-12-30T10:00:00+05:00'), row('simulation/played', 'x.period.closed.v1', 2, '2024-12-31T10:00:00+05:00'), row('kept', 'x.period.closed.v1', 3)],
  )
  it('puts those that need somebody first', () => expect(found.map((s) => [s.source.source, s.state])).toEqual([['late', 'late'], ['quiet', 'silent'], ['played', 'simulated'], ['kept', 'kept'], ['free', 'none']]))
  it('never takes a simulation for the source', () => {
    const played = found[2]!
    expect([played.accepted, played.simulated, played.closings, played.newest]).toEqual([0, 42, 2, '2024-12-31T10:00:00+05:00'])
    expect(found[3]!.closings).toBe(3)
  })
  it('says nothing of what others send to whom their rows are not shown', () => {
    const mine = sendersOf([source('own', { owner: 'customs' }), source('other', {})], [row('simulation/own', 'x.case.opened.v1', 40)], 'customs')
    expect(mine.map((s) => [s.source.source, s.state])).toEqual([['own', 'simulated']])
  })
})

describe('gapsOf', () => {
  const finding = (rule: string, source: string, from: string | null, to: string | null): Finding => ({ rule, source, from, to }) as unknown as Finding
  it('lays silence out by month, and fills months between', () => {
    const gaps = gapsOf([finding('silence', 'a', '2024-01-20', '2024-02-29'), finding('missing-period', 'b', '2024-04-01', '2024-04-30'), finding('freshness', 'c', null, null), finding('volume', 'd', '2024-01-01', '2024-01-02')])
    expect(gaps.months).toEqual(['2024-01', '2024-02', '2024-03', '2024-04'])
    expect(gaps.sources.map((s) => [s.source, [...s.by]])).toEqual([['a', [['2024-01', { whole: false, days: 12 }], ['2024-02', { whole: true, days: 29 }]]], ['b', [['2024-04', { whole: true, days: 30 }]]]])
  })
  it('adds silences of one month up', () => expect(gapsOf([finding('silence', 'a', '2023-12-01', '2023-12-05'), finding('silence', 'a', '2023-12-10', '2024-01-02')]).sources[0]!.by.get('2023-12')).toEqual({ whole: false, days: 27 }))
  it('shows the last months of many', () => {
    const gaps = gapsOf([finding('silence', 'old', '2020-01-01', '2020-01-31'), finding('silence', 'new', '2024-01-01', '2024-01-31')], 12)
    expect([gaps.months.length, gaps.months[0], gaps.sources.map((s) => s.source)]).toEqual([12, '2023-02', ['new']])
  })
  it('has nothing to lay out', () => expect(gapsOf([])).toEqual({ months: [], sources: [] }))
})

it('small things', () => {
  expect(age(90)).toEqual({ unit: 'minutes', n: 1 })
  expect(age(26 * 3600)).toEqual({ unit: 'hours', n: 26 })
  expect(age(49 * 3600)).toEqual({ unit: 'days', n: 2 })
  expect(expectedOf('simulation/portal')).toBe('portal')
  expect(expectedOf('portal')).toBe('portal')
  expect([valueOf('12'), valueOf('true'), valueOf('abc'), valueOf(' '), valueOf('{"a":1}'), valueOf('2024-01-01'), valueOf('"12"')]).toEqual([12, true, 'abc', null, '{"a":1}', '2024-01-01', '12'])
})

describe('refusalOf', () => {
  const said = { unknown_reference: 'нет в {table}', rule_broken: '{rule}: {check}', conflict: 'иначе' }
  it('takes table and rule from the reason', () => {
    expect(refusalOf({ code: 'unknown_reference', reason: 'is in no row of table regions, as a code, a name or another spelling' }, said)).toEqual({ text: 'нет в regions', known: true })
    expect(refusalOf({ code: 'rule_broken', reason: 'the rule paid-after-issued does not hold: paid_at >= issued_at' }, said)).toEqual({ text: 'paid-after-issued: paid_at >= issued_at', known: true })
    expect(refusalOf({ code: 'conflict', reason: 'the same id …' }, said)).toEqual({ text: 'иначе', known: true })
  })
  it('leaves to the reason what it does not understand', () => {
    expect(refusalOf({ code: 'unknown_reference', reason: 'otherwise' }, said).known).toBe(false)
    expect(refusalOf({ code: 'new', reason: 'otherwise' }, said)).toEqual({ text: '', known: false })
  })
})
