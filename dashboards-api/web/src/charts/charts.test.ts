import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Cell, Table, Target, Version } from '../api/client'
import { mapOf, read } from './drawing'
import { flags, folded, gaps, parts, steps } from './line'
import { lines, picture } from './picture'
import { axis, classes } from './scale'
import { measured, ranked, runsOf } from './states'
import { reach } from './Waterfall'

const month = (n: number, part: Partial<Cell> = {}): Cell => {
  const m = String(n).padStart(2, '0')
  return {
    period: `2024-${m}`, from: `2024-${m}-01`, to: `2024-${m}-28`, numerator: 1, denominator: 2, value: 50, state: 'value', cases: 2,
    open: false, closed: null, corrected: null, simulated: false, coverage: null, ...part,
  }
}

describe('axis', () => {
  it('begins at zero for bars, and has round steps', () => {
    expect(axis([72.3, 79.6], 6, true)).toMatchObject({ low: 0, high: 80, step: 20 })
    expect(axis([72.3, 79.6], 6, false)).toMatchObject({ low: 72, high: 80, step: 2 })
  })
  it('reaches over negative values and stays within its steps', () => {
    expect(axis([-3, 4], 6, true)).toMatchObject({ low: -4, high: 4 })
    for (const values of [[0.013, 0.0131], [1, 1e9], [5, 5], [0], [], [-7, -6.9]]) {
      const { low, high, ticks } = axis(values, 6, false)
      expect(ticks.length).toBeLessThanOrEqual(7)
      expect(ticks.length).toBeGreaterThan(1)
      for (const v of values) expect(low <= v && v <= high).toBe(true)
    }
  })
  it('has no dust of binary fractions', () => {
    expect(axis([0, 0.55], 6, true).ticks).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
  })
})

describe('classes', () => {
  it('give equal ranges tones from pale to deep', () => {
    const c = classes([72.3, 74.5, 79.6])!
    expect(c.bounds).toEqual([72, 74, 76, 78, 80])
    expect([72.3, 73.9, 74, 79.6, 80].map(c.tone)).toEqual([0, 0, 2, 6, 6])
  })
  it('are none where nothing differs', () => {
    expect(classes([5, 5])).toBeUndefined()
    expect(classes([5])).toBeUndefined()
  })
})

describe('a map', () => {
  const square = (x: number) => `m ${x},0 10,0 0,10 -10,0 z`
  const drawing = read({ viewBox: '0 0 40 10', locations: [{ id: 'a', path: square(0) }, { id: 'b', path: square(10) }, { id: 'b', path: `${square(20)} m 5 5 1 0 0 1 z` }, { id: 'lake', path: 'M 0 0 C 1 1 2 2 3 3' }] })
  it('tells places of one id apart', () => {
    expect(drawing.places.map((p) => p.key)).toEqual(['a', 'b', 'b.2', 'lake'])
  })
  it('finds the middle of the largest part, or none', () => {
    expect(drawing.places.map((p) => p.middle)).toEqual([[5, 5], [15, 5], [25, 5], undefined])
    expect(drawing.places[2]!.width).toBe(10)
  })
  it('is joined by the pack alone', () => {
    const table = (columns: string[]) => ({ table: 'regions', on: '', known_on: null, basis: 'table', columns, rows: [
      { code: '1', parent: '', names: {}, valid: { from: null, to: null }, values: { map_land: 'a' }, simulated: false },
      { code: '2', parent: '', names: {}, valid: { from: null, to: null }, values: { map_land: 'b.2' }, simulated: false },
      { code: '3', parent: '', names: {}, valid: { from: null, to: null }, values: {}, simulated: false },
    ] }) as unknown as Table
    expect(mapOf(table(['population', 'map_land']))).toEqual({ name: 'land', places: new Map([['1', 'a'], ['2', 'b.2']]) })
    expect(mapOf(table(['population']))).toBeUndefined()
  })
})

describe('the line', () => {
  it('folds the words of a flag between words and cuts none', () => {
    const text = '⚑ План по Единому порталу интерактивных государственных услуг; срок 31 дек. 2024'
    const lines = folded(text, 34)
    expect(lines.join(' ')).toBe(text)
    expect(Math.max(...lines.map((l) => l.length))).toBeLessThanOrEqual(34)
  })

  it('is dotted where figures still arrive, and never crosses a gap', () => {
    const cells = [month(1), month(2), month(3, { state: 'not_provided', value: null }), month(4), month(5, { open: true })]
    expect(parts(cells)).toEqual({ settled: [50, 50, null, 50, null], arriving: [null, null, null, 50, 50] })
    expect(gaps(cells)).toEqual([[2, 2]])
  })
  it('keeps the states apart', () => {
    expect([month(1), month(1, { state: 'zero', value: 0 }), month(1, { state: 'suppressed', value: null }), month(1, { state: 'not_applicable', value: null })].map(measured)).toEqual([true, true, false, false])
  })
  const target = { kpi: 'k', variant: '', kind: 'target', act: 'Decree', in_force: '2024-02-10', value: 75, due: '2024-03-31', due_stated: true, where: {} } as unknown as Target
  it('steps to a target from the period in which its act came into force', () => {
    expect(steps([month(1), month(2), month(3)], target)).toEqual([null, 75, 75])
  })
  it('flags acts and new definitions within it, and no others', () => {
    const cells = [month(1), month(2), month(3)]
    const versions = [{ version: 1, variant: '', valid: { from: '2020-01-01', to: null }, source: 'old' }, { version: 2, variant: '', valid: { from: '2024-03-05', to: null }, source: 'new' }] as Version[]
    expect(flags(cells, [target, { ...target, kind: 'claim' }, { ...target, due_stated: false, in_force: '2019-01-01' }], versions, '', 'en')).toEqual([
      { at: 1, day: '2024-02-10', kind: 'in_force', act: 'Decree' }, { at: 2, day: '2024-03-05', kind: 'definition', act: 'new' },
    ])
    expect(flags([], [target], versions, '', 'en')).toEqual([])
  })
})

it('parts are ranked by value, then by weight, those without last', () => {
  const list = [month(1, { value: null, state: 'suppressed' }), month(2, { value: 1 }), month(3, { value: 9, denominator: 1 }), month(4, { value: 9, denominator: 5 })].map((cell) => ({ cell }))
  expect(ranked(list).map((p) => p.cell.period)).toEqual(['2024-04', '2024-03', '2024-02', '2024-01'])
})

it('a waterfall adds up, and its axis has zero', () => {
  expect(reach([{ change: 0.1 }, { change: 0.2 }, { change: -0.5 }])).toEqual({ from: [0, 0.1, 0.3], to: [0.1, 0.3, -0.2], low: -0.2, high: 0.3 })
})

describe('a picture', () => {
  const c = { ink: '#000', muted: '#666', line: '#ddd', surface: '#fff', soft: '#eee', accent: '#06a', bar: '#06a', on: '#00f', off: '#f00', tones: [], onTones: [] }
  it('carries title, sentence, drawing and source, and nothing of theirs is markup', () => {
    const svg = picture({ svg: '<rect/>', height: 100 }, { title: 'A < B', sentence: 'It rose & rose.', source: 'Source: "act"' }, c)
    const found = new DOMParser().parseFromString(svg, 'image/svg+xml')
    expect(found.querySelector('parsererror')).toBeNull()
    expect([...found.querySelectorAll('text')].map((t) => t.textContent)).toEqual(['A < B', 'It rose & rose.', 'Source: "act"'])
  })
  it('breaks long sentences', () => {
    const text = 'a word after another word '.repeat(20).trim()
    expect(lines(text, 18, 400).length).toBeGreaterThan(5)
    expect(lines(text, 18, 400).join(' ')).toBe(text)
    expect(lines('x'.repeat(100), 18, 400).map((line) => line.length)).toEqual([41, 41, 18])
  })
})

// Colours as they are seen without one kind of cones (Machado, Oliveira and Fernandes 2009, full
// severity) and without any, by their lightness alone.
const sights: Record<string, number[][]> = {
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
  achromatopsia: [[0.2126, 0.7152, 0.0722], [0.2126, 0.7152, 0.0722], [0.2126, 0.7152, 0.0722]],
}

describe.each(Object.entries(sights))('the palette, seen with %s', (_, matrix) => {
  const css = ['../styles.css', './charts.css'].map((file) => readFileSync(new URL(file, import.meta.url), 'utf8')).join('')
  const of = (name: string, dark: boolean) => [...css.matchAll(new RegExp(`--${name}: (#[0-9a-f]{3,6})`, 'g'))].map((m) => m[1]!)[dark ? 1 : 0]!
  const linear = (hex: string) => (hex.length === 4 ? [...hex.slice(1)].map((d) => d + d) : hex.slice(1).match(/../g)!).map((d) => parseInt(d, 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  const light = (hex: string) => matrix.map((row) => Math.min(1, Math.max(0, row.reduce((sum, k, i) => sum + k * linear(hex)[i]!, 0)))).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i]!, 0)
  const contrast = (a: string, b: string) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05)

  it.each([false, true])('keeps tones in their order and what is written upon them readable, dark: %s', (dark) => {
    const tones = Array.from({ length: 7 }, (_, i) => of(`t${i}`, dark))
    tones.slice(1).forEach((tone, i) => {
      expect(contrast(tone, tones[i]!), `${tones[i]} beside ${tone}`).toBeGreaterThan(1.12)
      expect(light(tone) > light(tones[i]!), `${tone} after ${tones[i]}`).toBe(dark)
    })
    tones.forEach((tone, i) => expect(contrast(tone, of(`on-t${i}`, dark)), `text on ${tone}`).toBeGreaterThanOrEqual(4.5))
  })
  it.each([false, true])('lets states and lines be read upon the page, dark: %s', (dark) => {
    for (const name of ['ink', 'muted', 'accent', 'on', 'risk', 'off', 'none']) expect(contrast(of(name, dark), of('surface', dark)), name).toBeGreaterThanOrEqual(4.5)
    expect(contrast(of('bar', dark), of('surface', dark)), 'bars').toBeGreaterThan(3)
  })
})

describe('parts that say the same', () => {
  const part = (code: string, value: number | null) => ({ code, cell: month(1, { value, state: value === null ? 'not_provided' : 'value' }) })
  const codes = (parts: ReturnType<typeof part>[]) => runsOf(parts).map((run) => run.map((p) => p.code).join(''))
  it('stand together where they are many, at the top and at the foot', () => {
    expect(codes([...[...'abcdefgh'].map((c) => part(c, 100)), part('x', 40), ...[...'ijklmnop'].map((c) => part(c, 0)), part('y', null), part('z', null)])).toEqual(['abcdefgh', 'x', 'ijklmnop', 'y', 'z'])
  })
  it('stand alone where they are few, or only read alike', () => {
    expect(codes([...'abcdefg'].map((c) => part(c, 100)))).toHaveLength(7)
    expect(codes([...'abcdefgh'].map((c, i) => part(c, 99.99 - i / 1000)))).toHaveLength(8)
  })
})
