import type { Table } from '../../api/client'
import type { components } from '../../api/schema'
import { finder } from './fold'
import type { Row } from './data'

// The catalogue of services as a list that is searched and narrowed. Pure.

type Contract = components['schemas']['Contract']
type Field = Contract['fields'][number]

// fieldsOf are the fields of the contract that describes a table, by column: of all contracts
// that refer to the table the one that has most of its columns.
export function fieldsOf(contracts: Contract[], table: Table): Map<string, Field> {
  let best: Field[] = []
  let most = 0
  for (const contract of contracts) {
    if (!contract.fields.some((f) => f.to === table.table)) continue
    const shared = contract.fields.filter((f) => table.columns.includes(f.name))
    if (shared.length > most) [best, most] = [shared, shared.length]
  }
  return new Map(best.map((f) => [f.name, f]))
}

// Facet is a column by which the catalogue is narrowed, with how many rows have each value;
// the value '' is what was not told.
export interface Facet {
  column: string
  flag: boolean // true and false
  counts: Map<string, number>
}

const mostValues = 12

// facetsOf are flags first, then columns of few values. A column that is the same for
// all rows narrows nothing.
export function facetsOf(table: Table, leftOut: string[]): Facet[] {
  const facets: Facet[] = []
  for (const column of table.columns) {
    if (leftOut.includes(column)) continue
    const counts = new Map<string, number>()
    for (const row of table.rows) {
      const value = row.values[column] ?? ''
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    const told = [...counts.keys()].filter(Boolean)
    const flag = told.length > 0 && told.every((v) => v === 'true' || v === 'false')
    // Few values, none of them a number or a day: words of an enumeration.
    const words = told.length > 1 && told.length <= mostValues && told.every((v) => /^[a-z][a-z0-9_-]*$/.test(v))
    if (counts.size > 1 && (flag || words)) facets.push({ column, flag, counts })
  }
  return facets.sort((a, b) => Number(b.flag) - Number(a.flag))
}

export interface Narrow {
  sought: string
  where: string[] // "column=value"; several of one column are any of them
}

// narrowed are the rows that have every word and every filter. more gives further texts of a
// row to look through, such as the names of its agency.
export function narrowed(rows: Row[], { sought, where }: Narrow, more: (row: Row) => string[] = () => []): Row[] {
  const wanted = new Map<string, string[]>()
  for (const text of where) {
    const at = text.indexOf('=')
    wanted.set(text.slice(0, at), [...(wanted.get(text.slice(0, at)) ?? []), text.slice(at + 1)])
  }
  const found = finder(sought)
  return rows.filter((row) => [...wanted].every(([column, values]) => values.includes(row.values[column] ?? '')) && found(row.code, ...Object.values(row.names), ...more(row)))
}

// toggled puts a filter in or takes it out.
export const toggled = (where: string[], text: string): string[] | undefined => {
  const next = where.includes(text) ? where.filter((w) => w !== text) : [...where, text]
  return next.length ? next : undefined
}
