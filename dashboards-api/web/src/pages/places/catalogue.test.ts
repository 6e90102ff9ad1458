import { describe, expect, it } from 'vitest'
import type { Table } from '../../api/client'
import { facetsOf, fieldsOf, narrowed, toggled } from './catalogue'

const row = (code: string, values: Record<string, string>, uz = '') => ({ code, parent: '', names: { uz }, valid: { from: null, to: null }, values, simulated: false })
const table = {
  table: 'services', on: '2024-06-30', known_on: null, basis: 'events', columns: ['mobile', 'kind', 'paid', 'minutes', 'same'],
  rows: [
    row('1', { mobile: 'true', kind: 'certificate', minutes: '4', same: 'true' }, 'Maʼlumotnoma'),
    row('2', { mobile: 'false', kind: 'licence', paid: 'true', minutes: '12', same: 'true' }, 'Litsenziya'),
    row('3', { mobile: 'true', kind: 'licence', same: 'true' }, 'Ruxsatnoma'),
  ],
} as unknown as Table

describe('facetsOf', () => {
  it('takes flags first, then enumerations; counts what was not told', () => {
    const facets = facetsOf(table, [])
    expect(facets.map((f) => [f.column, f.flag])).toEqual([['mobile', true], ['paid', true], ['kind', false]])
    expect([...facets[1]!.counts]).toEqual([['', 2], ['true', 1]])
  })
  it('leaves out what it is told to', () => expect(facetsOf(table, ['mobile', 'kind']).map((f) => f.column)).toEqual(['paid']))
})

describe('narrowed', () => {
  const codes = (sought: string, ...where: string[]) => narrowed(table.rows, { sought, where }, (r) => [r.values.kind === 'licence' ? 'Adliya vazirligi' : '']).map((r) => r.code)
  it('wants every column, and any of its values', () => {
    expect(codes('', 'kind=licence')).toEqual(['2', '3'])
    expect(codes('', 'kind=licence', 'kind=certificate', 'mobile=true')).toEqual(['1', '3'])
  })
  it('finds what was not told', () => expect(codes('', 'paid=')).toEqual(['1', '3']))
  it('searches names in any script, codes and the agency', () => {
    expect(codes('маълумотнома')).toEqual(['1'])
    expect(codes('адлия')).toEqual(['2', '3'])
    expect(codes('2')).toEqual(['2'])
  })
})

describe('fieldsOf', () => {
  it('takes the contract that describes the table, not one that only refers to it', () => {
    const contract = (...fields: [string, string][]) => ({ fields: fields.map(([name, to]) => ({ name, to })) })
    const found = fieldsOf([contract(['service', 'services'], ['kind', '']), contract(['service', 'services'], ['kind', ''], ['mobile', '']), contract(['mobile', ''], ['kind', ''], ['paid', ''])] as never, table)
    expect([...found.keys()]).toEqual(['kind', 'mobile'])
  })
})

it('toggled leaves no empty list', () => {
  expect(toggled([], 'a=1')).toEqual(['a=1'])
  expect(toggled(['a=1'], 'a=1')).toBeUndefined()
})
