import { expect, test } from 'vitest'
import { drawing, lineOf, linesOf, numberOf, parameters, textOf, unfilled } from './statement'

test('places of a statement are found once, and not in comments and quotes', () => {
  expect(parameters(`SELECT {day:Date}, '{no:String}' -- {nor:Int8}
    /* {here:Int8} */ FROM t WHERE "{a:Int8}" = {codes:Array(LowCardinality(String))} AND d > { day : Date }`)).toEqual([
    { name: 'day', type: 'Date' },
    { name: 'codes', type: 'Array(LowCardinality(String))' },
  ])
  expect(parameters("SELECT {'a': 1}")).toEqual([])
})

test('only a text may be empty', () => {
  const places = ['Date', 'Nullable(UInt8)', 'String', 'LowCardinality(Nullable(String))'].map((type, i) => ({ name: `p${i}`, type }))
  expect(unfilled(places, {}).map((p) => p.name)).toEqual(['p0', 'p1'])
  expect(unfilled(places, { p0: '2024-01-01', p1: '0' })).toEqual([])
})

test('a result is drawn by what its columns are', () => {
  const of = (...types: string[]) => drawing(types.map((type) => ({ type })))
  expect(of('LowCardinality(String)', 'Date', 'UInt64')).toEqual({ kind: 'line', x: 1, y: 2 })
  expect(of('LowCardinality(Nullable(String))', 'Nullable(Float64)')).toEqual({ kind: 'bars', x: 0, y: 1 })
  expect(of('UInt8', 'Decimal(18, 2)')).toEqual({ kind: 'bars', x: 0, y: 1 })
  expect(of('DateTime64(6)', 'String')).toBeUndefined()
  expect(of('UInt64')).toBeUndefined()
})

test('cells as numbers and as text', () => {
  expect(numberOf('18446744073709551615')).toBeGreaterThan(1e19)
  expect(numberOf('')).toBeUndefined()
  expect(numberOf('x')).toBeUndefined()
  expect(numberOf(null)).toBeUndefined()
  expect(textOf(['a', 1])).toBe('["a",1]')
  expect(textOf(false)).toBe('false')
})

test('the line that an error names', () => {
  expect(lineOf('Syntax error: failed at position 20 (wher) (line 3, col 4): …')).toBe(3)
  expect(lineOf('Unknown table')).toBeUndefined()
})

test('several rows of one day are a line each', () => {
  const rows = [['2024-01', 'a', 1], ['2024-01', 'b', 2], ['2024-02', 'b', 3]] as const
  expect(linesOf(rows.map(([x, of, y]) => ({ x, of, y })))).toEqual({ at: ['2024-01', '2024-02'], lines: [{ of: 'a', values: [1, null] }, { of: 'b', values: [2, 3] }], clash: false })
  expect(linesOf(rows.map(([x, , y]) => ({ x, of: '', y }))).clash).toBe(true)
})
