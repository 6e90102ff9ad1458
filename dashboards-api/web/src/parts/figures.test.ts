import { describe, expect, it } from 'vitest'
import type { Cell, HeldTarget } from '../api/client'
import { verdictText } from './Figures'

const voice = { language: 'en', zone: 'UTC', labels: {} }
const target = (more: Partial<HeldTarget>) => ({ kind: 'target', comparator: 'at_least', value: 700, due: '2024-12-31', due_stated: true, measured: 683, gap: 17, status: 'missed', ...more }) as HeldTarget
const cell = (value: number, to = '2026-12-31') => ({ period: to, from: to, to, value, state: 'value', open: false }) as unknown as Cell

describe('verdictText', () => {
  it('says with which figure, and how it stands now', () => {
    expect(verdictText(target({}), cell(850), 'count', voice)).toBe('683 on 31 Dec 2024; reached since')
    expect(verdictText(target({}), cell(690), 'count', voice)).toBe('683 on 31 Dec 2024; still not reached')
    expect(verdictText(target({ status: 'reached', measured: 710 }), cell(690), 'count', voice)).toBe('710 on 31 Dec 2024; no longer reached')
  })
  it('says nothing where the figure is that of the verdict, or there is none', () => {
    expect(verdictText(target({}), cell(683, '2024-12-31'), 'count', voice)).toBe('')
    expect(verdictText(target({ status: 'on_course', due: '2027-12-31' }), cell(850), 'count', voice)).toBe('')
  })
})
