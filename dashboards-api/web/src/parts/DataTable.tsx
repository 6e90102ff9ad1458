import { type ReactNode, useMemo, useState } from 'react'
import { number } from '../format'
import { useVoice } from '../voice'

type Order = string | number | null | undefined

export interface Column<Row> {
  key: string
  title: string
  cell: (row: Row) => ReactNode
  order?: (row: Row) => Order // by which the column sorts; a column without is not sortable
  number?: boolean // aligned right, tabular
  wide?: boolean // takes the room that is left
  minor?: boolean // left out on a phone
}

interface Props<Row> {
  caption: string // what the table is of; spoken, not drawn
  columns: Column<Row>[] // the first names the row
  rows: Row[]
  keyOf: (row: Row) => string
  sort?: { key: string; down?: boolean } // at first; without one the rows stand as they came
  most?: number // so many rows are drawn at first
  stacked?: boolean // on a phone each row stands as a block, its numbers under their titles, the headings to sort by in a line above
  more?: (next: number) => string // words of the button that draws the next so many; needed with most
}

const step = 200 // rows that one press adds: a press stays quick however many there are

// DataTable is a table that sorts by its headings, by mouse and keyboard, and tells how it is
// sorted. Rows without a value stand last whichever way. On a phone it scrolls within itself.
export function DataTable<Row>({ caption, columns, rows, keyOf, sort, most, more, stacked = false }: Props<Row>) {
  const { language } = useVoice()
  const [by, setBy] = useState(sort)
  const [added, setAdded] = useState(0)
  const sorted = useMemo(() => {
    const order = columns.find((c) => c.key === by?.key)?.order
    if (!order) return rows
    const collator = new Intl.Collator(language, { numeric: true })
    return rows
      .map((row) => ({ row, value: order(row) }))
      .sort((a, b) => {
        if (a.value == null || b.value == null) return Number(a.value == null) - Number(b.value == null)
        const less = typeof a.value === 'number' && typeof b.value === 'number' ? a.value - b.value : collator.compare(String(a.value), String(b.value))
        return by?.down ? -less : less
      })
      .map(({ row }) => row)
  }, [rows, columns, by, language])
  const shown = most ? sorted.slice(0, most + added) : sorted
  const next = Math.min(step, sorted.length - shown.length)
  const classOf = (c: Column<Row>) => [c.number && 'number', c.wide && 'wide', c.minor && 'minor'].filter(Boolean).join(' ') || undefined
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-label={caption}>
        <table className={stacked ? 'data stacked' : 'data'}>
          <caption className="spoken">{caption}</caption>
          <thead>
            <tr>
              {columns.map((c) => (
                <th key={c.key} scope="col" className={classOf(c)} aria-sort={by?.key === c.key ? (by.down ? 'descending' : 'ascending') : undefined}>
                  {c.order ? (
                    <button type="button" onClick={() => setBy({ key: c.key, down: by?.key === c.key ? !by.down : c.number === true })}>
                      {c.title}<span aria-hidden="true">{by?.key === c.key ? (by.down ? '↓' : '↑') : ''}</span>
                    </button>
                  ) : c.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={keyOf(row)}>
                {columns.map((c, i) => (i === 0 ? <th key={c.key} scope="row" className={classOf(c)}>{c.cell(row)}</th> : <td key={c.key} className={classOf(c)} data-title={stacked && c.number ? c.title : undefined}>{c.cell(row)}</td>))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {next > 0 && more && <p className="more-rows"><button type="button" onClick={() => setAdded(added + step)}>{more(next)}</button> <small>{number(shown.length, language)} / {number(sorted.length, language)}</small></p>}
    </>
  )
}
