import { describe, expect, it } from 'vitest'
import type { Cell, Target, Values } from './api/client'
import { changeText, finding, partName, sentence, type Voice } from './finding'

const voice = (language: string): Voice => ({ language, zone: 'Asia/Tashkent', labels: { 'value.processing.automatic': 'by the system' } })

function cell(part: Partial<Cell> & Record<string, unknown> = {}): Cell {
  return {
    period: '2024-01-01/2024-12-31', from: '2024-01-01', to: '2024-12-31', numerator: 74, denominator: 100, value: 74, state: 'value',
    cases: 100, open: false, simulated: false, coverage: null, ...part,
  } as Cell
}

function values(cells: Cell[], part: Partial<Values> = {}): Values {
  return {
    kpi: 'online', title: { en: 'Processed online', uz: 'Onlayn koʻrib chiqilgan', ru: 'Обработано онлайн' }, unit: 'percent', direction: 'up', owner: 'm', basis: 'events', version: 1,
    from: '2024-01-01', to: '2024-12-31', grain: '', by: [], where: {}, known_on: null, data_through: '2024-12-31T18:59:59Z', loaded: null, simulated: false,
    definition: { from: [], at: 'time', source: '', valid_from: null, valid_to: null, exact: true }, coverage: { covered: 31, expected: 32, share: 96.9, words: '', missing: ['customs'] },
    names: { region: { a: { en: 'Andijan' }, b: { en: 'Bukhara' }, c: { en: 'Khorezm' } } }, cells, ...part,
  } as Values
}

const comparison = (difference: number) => ({ period: '2023', value: 70, state: 'value' as const, difference, change: 1 })
const parts = (differences: (number | null)[]) =>
  values(['a', 'b', 'c'].map((region, i) => cell({ region, value: 70 + i, ...(differences[i] == null ? {} : { comparison: comparison(differences[i]) }) })), { by: ['region'] })

describe('finding', () => {
  it('counts the parts in which the figure rose', () => {
    expect(finding(values([cell()]), parts([1, -1, 2]), 'region', voice('en'))).toBe('Processed online: rose in 2 of 3')
    expect(finding(values([cell()]), parts([-1, -1, 2]), 'region', voice('ru'))).toBe('Обработано онлайн: снижение в 2 из 3')
  })
  it('says how far apart the parts are when nothing is compared', () => {
    expect(finding(values([cell()]), parts([null, null, null]), 'region', voice('en'))).toBe('Processed online: 74.0\u00a0%, from 70.0\u00a0% (Andijan) to 72.0\u00a0% (Khorezm)')
  })
  it('does not call it a finding that the parts of a count differ', () => {
    const count = { unit: 'count' }
    expect(finding(values([cell({ value: 1200 })], count), { ...parts([null, null, null]), ...count }, 'region', voice('en'))).toBe('Processed online: 1,200')
  })
  it('never tells a part as the whole', () => {
    expect(finding(values([cell()], { where: { region: ['a'] } }), undefined, '', voice('en'))).toBe('Processed online (Andijan): 74.0\u00a0%')
  })
  it('says why there is no figure', () => {
    const without = (state: Cell['state'], reason?: string) => finding(values([cell({ value: null, numerator: null, state, reason })]), undefined, '', voice('en'))
    expect(without('not_provided')).toBe('Processed online: no report received')
    expect(without('suppressed')).toBe('Processed online: hidden to protect people')
    expect(without('not_applicable', 'no_cases')).toBe('Processed online: no cases')
    expect(without('not_applicable')).toBe('Processed online: does not apply')
  })
})

describe('sentence', () => {
  const target: Target = {
    kpi: 'online', variant: '', kind: 'target', act: 'Decree', url: '', in_force: null, wording: '', language: 'en', act_names: {}, wording_names: {}, comparator: 'at_least', value: 75, due: null, due_stated: false,
    period: { from: null, to: null }, check: {}, owner: '', owner_names: {}, where: {},
  }
  it('tells value, parts, change, absence of a target, date and coverage', () => {
    const whole = values([cell({ numerator: 6142000, denominator: 8300000, comparison: comparison(3.1) })])
    expect(sentence(whole, [], voice('en'))).toBe(
      'Processed online, 2024: 74.0\u00a0% (6,142,000 of 8,300,000), 3.1 points more than in 2023. No target was published. Data through 31 December 2024; reported by 31 of 32, without customs.')
    expect(sentence(whole, [target], voice('ru'))).toBe(
      'Обработано онлайн, 2024 год: 74,0\u00a0% (6\u00a0142\u00a0000 из 8\u00a0300\u00a0000), на 3,1 п. п. больше, чем за 2023 год. Цель: не менее 75\u00a0% (Decree). Данные по 31 декабря 2024; отчитались 31 из 32, без: customs.')
    expect(sentence(whole, [], voice('uz'))).toContain('2023-yildagidan 3,1 foiz punkti koʻp')
  })
  it('does not take a claim, or the target of a part, for a target', () => {
    expect(sentence(values([cell()]), [{ ...target, kind: 'claim' }, { ...target, where: { region: 'a' } }], voice('en'))).toContain('No target was published.')
  })
  it('says which quantile a figure is, and what stands beside it, each with one full stop', () => {
    const days = values([cell({ value: 4, numerator: null, denominator: null, quantiles: [{ q: 0.5, value: 4 }, { q: 0.9, value: 30 }], comparison: comparison(1) })], { unit: 'days' })
    expect(sentence(days, [], voice('en'), ['Disputed by Customs on 1 May 2024'])).toContain('Processed online, 2024: 4\u00a0days (median), 1\u00a0day more than in 2023. Disputed by Customs on 1 May 2024. No target')
    const last = { ...days, cells: [{ ...days.cells[0]!, quantiles: [{ q: 0.95, value: 4 }], comparison: undefined }] } as Values
    expect(sentence(last, [], voice('ru'), ['Исправлен 1 мая 2024, было 3 дн..'])).toContain('4\u00a0дн. (у 95 % не больше). Исправлен 1 мая 2024, было 3 дн. ')
  })
  it('says that a period is still arriving and that data are simulated', () => {
    const text = sentence(values([cell({ open: true })], { simulated: true }), [], voice('en'))
    expect(text).toContain('still arriving')
    expect(text).toContain('Simulated data.')
  })
})

describe('changeText', () => {
  it('tells a day as a day', () => {
    expect(changeText(cell({ comparison: { ...comparison(0), period: '2024-12-30' } }), 'count', voice('en'))).toBe('the same as on 30 December 2024')
  })
  it('is silent without a comparison', () => {
    expect(changeText(cell(), 'percent', voice('en'))).toBe('')
    expect(changeText(cell({ comparison: { ...comparison(0), difference: null } }), 'percent', voice('en'))).toBe('')
  })
})

describe('partName', () => {
  it('takes the reference table, then the pack’s words, then the code', () => {
    expect(partName(parts([]), 'region', 'a', voice('uz'))).toBe('Andijan')
    expect(partName(parts([]), 'processing', 'automatic', voice('en'))).toBe('by the system')
    expect(partName(parts([]), 'processing', 'else', voice('en'))).toBe('else')
    expect(partName(parts([]), 'processing', '', voice('en'))).toBe('not told')
  })
})
