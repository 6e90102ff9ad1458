import type { Cell } from '../api/client'
import { amount, cellText, number, period, tick } from '../format'
import { Way } from '../parts/Way'
import type { Search } from '../search'
import { useVoice } from '../voice'
import { fill, useWords } from '../words'
import './charts.css'
import type { Palette } from './palette'
import { type Drawn, hatch, text, width } from './picture'
import { Legend } from './RegionMap'
import { classes, type Classes } from './scale'
import { measured } from './states'

export interface HeatRow {
  code: string
  name: string
  search: Search | undefined
  cells: (Cell | undefined)[] // one for each period
}

interface Props {
  rows: HeatRow[]
  periods: string[]
  unit: string
  dimension: string
  label: string
  all: number // parts that there are
}

const classesOf = (rows: HeatRow[]): Classes | undefined => classes(rows.flatMap((r) => r.cells.flatMap((c) => (c && measured(c) ? [c.value!] : []))))

// short is a figure in as few characters as can be read in a cell.
const short = (cell: Cell, unit: string, language: string) => (unit === 'percent' ? number(cell.value!, language, 0) : amount(cell.value!, unit === 'count' || Math.abs(cell.value!) >= 1000 ? 'count' : 'ratio', language))

// Heat is a table of parts by periods whose cells are coloured: the number stands in each, so
// that colour alone says nothing. A month without a report is hatched, a hidden one has its
// mark, and what does not apply is empty.
export function Heat({ rows, periods, unit, dimension, label, all }: Props) {
  const { language, labels } = useVoice()
  const words = useWords()
  const scale = classesOf(rows)
  const cells = rows.flatMap((row) => row.cells)
  const marks = (['suppressed', 'not_provided'] as const).filter((state) => cells.some((c) => c?.state === state))
  const empty = cells.some((c) => !c || (!measured(c) && c.state !== 'suppressed' && c.state !== 'not_provided'))
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-label={label}>
        <table className="heat">
          <thead>
            <tr>
              <th scope="col">{dimension}</th>
              {periods.map((p) => <th key={p} scope="col"><abbr title={period(p, language)}>{tick(p, language)}</abbr></th>)}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.code}>
                <th scope="row">{row.search ? <Way search={row.search}>{row.name}</Way> : row.name}</th>
                {row.cells.map((cell, i) => {
                  if (!cell) return <td key={periods[i]} />
                  const says = `${row.name}, ${period(cell.period, language)}: ${cellText(cell, unit, language, labels)}`
                  if (!measured(cell)) return <td key={periods[i]} className={cell.state} title={says}><span className="spoken">{cellText(cell, unit, language, labels)}</span></td>
                  return <td key={periods[i]} title={says} className={`tone t${scale?.tone(cell.value!) ?? 3} on-t${scale?.tone(cell.value!) ?? 3}${cell.open ? ' arriving' : ''}`}>{short(cell, unit, language)}</td>
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {scale && <Legend scale={scale} unit={unit} />}
      {(marks.length > 0 || empty) && (
        <ul className="legend heat-marks">
          {marks.map((state) => <li key={state}><span className={`tone ${state}`} aria-hidden="true" />{words.state[state]}</li>)}
          {empty && <li><span className="tone blank" aria-hidden="true" />{words.state.no_cases}</li>}
        </ul>
      )}
      {all > rows.length && <p className="caption">{fill(words.tooMany, { shown: number(rows.length, language), all: number(all, language) })}</p>}
    </>
  )
}

// drawHeat is the same table for a file.
export function drawHeat(rows: HeatRow[], periods: string[], unit: string, language: string, c: Palette): Drawn {
  const scale = classesOf(rows)
  const [left, row] = [300, 30]
  const w = (width - left - 40) / Math.max(periods.length, 1)
  const out = [hatch(c)]
  periods.forEach((p, i) => out.push(text(left + (i + 0.5) * w, 16, tick(p, language), 13, c.muted, 'text-anchor="middle"')))
  rows.forEach((r, y) => {
    const top = 26 + y * row
    out.push(text(left - 12, top + 20, r.name.length > 32 ? r.name.slice(0, 31) + '…' : r.name, 15, c.ink, 'text-anchor="end"'))
    r.cells.forEach((cell, i) => {
      if (!cell) return
      const tone = measured(cell) ? (scale?.tone(cell.value!) ?? 3) : undefined
      const fill = tone !== undefined ? c.tones[tone]! : cell.state === 'not_provided' ? 'url(#hatch)' : 'none'
      out.push(`<rect x="${left + i * w + 1}" y="${top + 1}" width="${w - 2}" height="${row - 2}" fill="${fill}"${cell.state === 'suppressed' ? ` stroke="${c.muted}" stroke-dasharray="3 2"` : ''}/>`)
      if (tone !== undefined && w > 28) out.push(text(left + (i + 0.5) * w, top + 20, short(cell, unit, language), 13, c.onTones[tone]!, 'text-anchor="middle"'))
    })
  })
  return { svg: out.join(''), height: 26 + rows.length * row }
}
