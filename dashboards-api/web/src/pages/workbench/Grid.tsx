import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, useRef, useState } from 'react'
import type { RunColumn } from '../../api/client'
import { fill, useWordsOf } from '../../words'
import { isNumber, textOf } from './statement'
import { words } from './words'

const rowHeight = 30
const widest = 60 // characters of a column before its cells are cut

// Grid shows any number of rows, of which only those in sight are in the document. Arrow keys
// move a cell's focus; a cell that is cut shows all of itself beneath the grid.
export function Grid({ columns, rows, label }: { columns: RunColumn[]; rows: unknown[][]; label: string }) {
  const said = useWordsOf(words)
  const scroller = useRef<HTMLDivElement>(null)
  const [at, setAt] = useState<[row: number, column: number]>([0, 0])
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 12 })
  const letter = 0.54 * parseFloat(getComputedStyle(document.documentElement).fontSize) // pixels; figures are wide
  const widths = columns.map((c, i) => {
    const longest = rows.slice(0, 200).reduce((most, row) => Math.max(most, row[i] === null ? 4 : textOf(row[i]).length), Math.max(c.name.length, c.type.length * 0.8))
    return Math.min(widest, Math.max(6, longest)) * letter + 28
  })
  const total = widths.reduce((a, b) => a + b, 0)
  // The last column takes the room that is left.
  const line = { gridTemplateColumns: widths.map((w, i) => (i === widths.length - 1 ? `minmax(${w}px, 1fr)` : `${w}px`)).join(' '), minWidth: total, width: '100%' }
  const row = Math.min(at[0], rows.length - 1)
  const move = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / rowHeight) - 2)
    const steps: Record<string, [number, number]> = {
      ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0],
      Home: event.ctrlKey ? [-rows.length, -columns.length] : [0, -columns.length], End: event.ctrlKey ? [rows.length, columns.length] : [0, columns.length],
    }
    const step = steps[event.key]
    if (!step) return
    event.preventDefault()
    const next: [number, number] = [Math.max(0, Math.min(rows.length - 1, row + step[0])), Math.max(0, Math.min(columns.length - 1, at[1] + step[1]))]
    setAt(next)
    virtual.scrollToIndex(next[0])
    const left = widths.slice(0, next[1]).reduce((a, b) => a + b, 0)
    const s = scroller.current!
    if (left < s.scrollLeft) s.scrollLeft = left
    else if (left + widths[next[1]]! > s.scrollLeft + s.clientWidth) s.scrollLeft = left + widths[next[1]]! - s.clientWidth
  }
  const cell = rows[row]?.[at[1]]
  const whole = cell === null || cell === undefined ? '' : textOf(cell)
  return (
    <>
      <div ref={scroller} className="wb-grid" role="grid" aria-label={label} aria-rowcount={rows.length + 1} aria-colcount={columns.length} tabIndex={0}
        aria-activedescendant={rows.length ? `wb-${row}-${at[1]}` : undefined} onKeyDown={move}>
        <div role="rowgroup" className="wb-head" style={{ minWidth: total }}>
          <div role="row" aria-rowindex={1} style={line}>
            {columns.map((c, i) => <div key={i} role="columnheader" className={isNumber(c.type) ? 'number' : undefined}>{c.name}<small>{c.type}</small></div>)}
          </div>
        </div>
        <div role="rowgroup" className="wb-body" style={{ height: virtual.getTotalSize(), minWidth: total }}>
          {virtual.getVirtualItems().map((item) => (
            <div key={item.key} role="row" aria-rowindex={item.index + 2} style={{ ...line, transform: `translateY(${item.start}px)` }}>
              {columns.map((c, i) => {
                const value = rows[item.index]![i]
                const here = item.index === row && i === at[1]
                return (
                  <div key={i} id={`wb-${item.index}-${i}`} role="gridcell" aria-colindex={i + 1} aria-selected={here} className={isNumber(c.type) ? 'number' : undefined} onClick={() => setAt([item.index, i])}>
                    {value === null ? <i>NULL</i> : textOf(value)}
                  </div>
                )
              })}
            </div>
          ))}
        </div>
      </div>
      {whole.length > widest && <p className="wb-whole"><span>{fill(said.wholeCell, { column: columns[at[1]]?.name ?? '' })}</span> {whole}</p>}
    </>
  )
}
