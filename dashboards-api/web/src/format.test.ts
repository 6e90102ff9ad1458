import { describe, expect, it } from 'vitest'
import { amount, bound, compact, day, inPoints, moment, period, plain, shortDay, signed, tick } from './format'
import { choices, lastDay, stepFor } from './period'
import { dictionaries, fill } from './words'

const s = '\u00a0'

describe('amount', () => {
  it('writes numbers as each language does', () => {
    expect(amount(8300000, 'count', 'en')).toBe('8,300,000')
    expect(amount(8300000, 'count', 'ru')).toBe(`8${s}300${s}000`)
    expect(amount(74.04, 'percent', 'uz')).toBe(`74,0${s}%`)
    expect(amount(412833100200, 'UZS', 'uz', { 'unit.UZS': 'soʻm' })).toBe(`412,8${s}mlrd${s}soʻm`)
    expect(amount(1234567, 'bytes', 'en')).toBe(`1.2${s}MB`)
    expect(amount(0, 'count', 'en')).toBe('0')
    expect([amount(1, 'days', 'en'), amount(21, 'days', 'en'), amount(1, 'days', 'ru')]).toEqual([`1${s}day`, `21${s}days`, `1${s}дн.`])
    expect(amount(-0.5, 'ratio', 'en')).toBe('-0.50')
  })
  it('tells short times in smaller units', () => {
    expect(amount(31.4, 'hours', 'en')).toBe(`31.4${s}h`)
    expect(amount(0.5, 'hours', 'en')).toBe(`30${s}min`)
    expect(amount(28 / 3600, 'hours', 'en')).toBe(`28${s}s`)
    expect(amount(0, 'hours', 'en')).toBe(`0${s}h`)
  })
  it('keeps the digits of what was published', () => {
    expect(bound(75, 'percent', 'en')).toBe(`75${s}%`)
    expect(bound(99.95, 'percent', 'ru')).toBe(`99,95${s}%`)
  })
  it('marks the sign with a true minus', () => {
    expect(signed(-3.14, 'percent', 'en')).toBe('−3.1')
    expect(signed(3.14, 'percent', 'en')).toBe('+3.1')
    expect(signed(0, 'percent', 'en')).toBe('0.0')
    expect(signed(-0.04, 'percent', 'en')).toBe('0.0')
    expect([inPoints('Difference', 'percent', 'en'), inPoints('Difference', 'hours', 'en')]).toEqual(['Difference, points', 'Difference'])
  })
  it('is compact on axes', () => {
    expect(compact(5e6, 'en')).toBe(`5${s}million`)
    expect(compact(12, 'en')).toBe('12')
  })
})

describe('periods', () => {
  it.each([
    ['2024-01-01/2024-12-31', 'en', '2024'], ['2024-01-01/2024-12-31', 'uz', '2024-yil'], ['2024-01-01/2025-12-31', 'en', '1 January 2024 – 31 December 2025'],
    ['2024-03', 'en', 'March 2024'], ['2024-03', 'ru', 'март 2024'], ['2024-03', 'uz', '2024-yil mart'], ['2024-Q2', 'en', 'Q2 2024'], ['2024-03-05', 'en', '5 March 2024'], ['2024-W14', 'en', 'week 14, 1–7 April 2024'], ['2024-W14', 'ru', 'нед. 14, 1–7 апреля 2024'], ['2024-W14', 'uz', '2024-yil 1–7-aprel, 14-hafta'],
    ['2024-W18', 'en', 'week 18, 29 April – 5 May 2024'], ['2024-W18', 'uz', '2024-yil 29-aprel – 5-may, 18-hafta'], ['2025-W01', 'en', 'week 1, 30 December 2024 – 5 January 2025'], ['2026-W53', 'ru', 'нед. 53, 28 декабря 2026 – 3 января 2027'],
  ])('%s in %s is %s', (text, language, want) => expect(period(text, language)).toBe(want))
  it('writes days without the browser’s Uzbek, which has none', () => {
    expect(day('2024-12-31', 'uz')).toBe('2024-yil 31-dekabr')
    expect(shortDay('2024-12-31', 'uz')).toBe('31.12.2024')
    expect(moment('2024-12-31T20:05:00Z', 'Asia/Tashkent', 'uz')).toBe('01.01.2025, 01:05')
    expect([tick('2024-06', 'uz'), tick('2024-07', 'uz')]).toEqual(['iyn', 'iyl'])
    expect(day('2024-12-31', 'ru')).toBe('31 декабря 2024')
  })
  it('names the year once on an axis', () => {
    expect([tick('2024-01', 'en'), tick('2024-02', 'en')]).toEqual(['Jan 2024', 'Feb'])
    expect(tick('2024-02', 'en', true)).toBe('Feb 2024')
    expect([tick('2024-W14', 'en'), tick('2024-W14', 'uz'), tick('2024-W01', 'en')]).toEqual(['1 Apr', '1-apr', '1 Jan 2024'])
  })
  it('offers years, twelve months and the quarters that have data', () => {
    const list = choices('2024-08-20')
    expect(list.map((c) => c.key)).toEqual(['2024', '2023', '2022', 'last', '2024-Q3', '2024-Q2', '2024-Q1'])
    expect(list[3]).toMatchObject({ from: '2023-09-01', to: '2024-08-31' })
  })
  it('knows February', () => expect([lastDay(2024, 2), lastDay(2023, 2)]).toEqual(['2024-02-29', '2023-02-28']))
  it('chooses a step that can be read', () => {
    expect([stepFor({ from: '2024-01-01', to: '2024-01-31' }), stepFor({ from: '2024-01-01', to: '2024-12-31' }), stepFor({})]).toEqual(['day', 'month', 'month'])
  })
})

describe('words', () => {
  const flat = (o: object, path = ''): [string, string][] =>
    Object.entries(o).flatMap(([k, v]) => (typeof v === 'string' ? [[path + k, v] as [string, string]] : flat(v as object, path + k + '.')))
  const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort()
  it.each(['uz', 'ru'])('%s has every text with the same places', (language) => {
    const theirs = new Map(flat(dictionaries[language]!))
    for (const [key, text] of flat(dictionaries.en!)) {
      expect(theirs.get(key), key).toBeTruthy()
      expect(places(theirs.get(key)!), key).toEqual(places(text))
    }
  })
  it('Uzbek uses one apostrophe for oʻ and gʻ', () => {
    for (const [key, text] of flat(dictionaries.uz!)) expect(text, key).not.toMatch(/['‘’`]/)
  })
  it('shows a place that was not filled', () => expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}'))
})

it('writes the days of a finding as the language does, and ends it once', () => {
  expect(plain('Дневник: с 2024-05-25 по 2024-09-03 ничего не пришло; обещано: 2 дн..', 'ru')).toBe('Дневник: с 25 мая 2024 по 3 сент. 2024 ничего не пришло; обещано: 2 дн.')
  expect(plain('2024-06-01/2024-08-31: 3', 'uz')).toBe('01.06.2024 – 31.08.2024: 3')
})
