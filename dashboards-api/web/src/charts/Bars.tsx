import { Fragment, useState } from 'react'
import type { Cell } from '../api/client'
import { amount, inPoints, number, signed } from '../format'
import { Figure } from '../parts/Figures'
import { Way } from '../parts/Way'
import type { Search } from '../search'
import { useVoice } from '../voice'
import { fill, useWords, useWordsOf } from '../words'
import './charts.css'
import type { Palette } from './palette'
import { type Drawn, hatch, text, width } from './picture'
import { measured, runsOf } from './states'
import { words as chartWords } from './words'

// Part is one value of a dimension with its figure; search, and to where it is another page, are
// where a click on it leads.
export interface Part {
  code: string
  name: string
  cell: Cell
  search: Search | undefined
  to?: string
  disputed?: boolean // its owner says that the figure is not right
}

export const most = 40

// span is from where to where the bars of figures reach: always with zero.
function span(cells: Cell[]): { low: number; high: number } {
  const values = cells.filter(measured).map((c) => c.value!)
  return { low: Math.min(0, ...values), high: Math.max(0, ...values) }
}

interface Props {
  parts: Part[] // ranked; the first `most` of those to which the figure applies are drawn
  unit: string
  dimension: string // its name
  label: string
  average: number | undefined // of the whole; drawn as a line through the bars where it says something
  hot: string | undefined // code of the part that is pointed at, here or on the map
  onHot: (code: string | undefined) => void
}

// Bars ranks the parts of a figure, from zero. It is a table whose one column is drawn, so it
// is its own table for those who do not see the bars. Many parts that say the same are one row,
// which opens.
export function Bars({ parts, unit, dimension, label, average, hot, onHot }: Props) {
  const words = useWords()
  const said = useWordsOf(chartWords)
  const { language, labels } = useVoice()
  const drawn = parts.filter((p) => p.cell.state !== 'not_applicable')
  const without = parts.length - drawn.length
  const runs = runsOf(drawn)
  const shown = runs.slice(0, most)
  const [opened, open] = useState<ReadonlySet<number>>(new Set()) // the values whose parts are shown one by one
  const { low, high } = span(shown.map(([first]) => first!.cell))
  const scale = (v: number) => (high === low ? 0 : (100 * v) / (high - low))
  const compared = drawn.some((p) => p.cell.comparison?.difference != null)
  const ratio = drawn.some((p) => p.cell.denominator !== null)
  const mark = (disputed: boolean | undefined) => disputed && <span className="status off_course disputed"><span aria-hidden="true">■</span> {words.disputed}</span>
  const row = ({ code, name, cell, search, to, disputed }: Part) => (
    <tr key={code} className={hot === code ? 'hot' : undefined} onMouseEnter={() => onHot(code)}>
      <th scope="row">
        {search ? <Way to={to} search={search} title={to ? undefined : fill(words.narrow, { name })} onFocus={() => onHot(code)} onBlur={() => onHot(undefined)}>{name}</Way> : name}
      </th>
      <td className="number"><Figure cell={cell} unit={unit} />{mark(disputed)}</td>
      <td className="bar" aria-hidden="true">
        {measured(cell)
          ? <Bar from={scale(Math.min(cell.value!, 0) - low)} width={scale(Math.abs(cell.value!))} zero={cell.value === 0} mark={average === undefined ? undefined : scale(average - low)} />
          : <span className={`nobar ${cell.state}`} />}
      </td>
      {compared && <td className="number minor">{cell.comparison?.difference == null ? '' : signed(cell.comparison.difference, unit, language)}</td>}
      {ratio && <td className="number parts">{cell.numerator === null || cell.denominator === null ? '' : `${number(cell.numerator, language)} / ${number(cell.denominator, language)}`}</td>}
    </tr>
  )
  const fold = (value: number) => {
    const now = new Set(opened)
    if (!now.delete(value)) now.add(value)
    open(now)
  }
  const together = (run: Part[], cell: Cell) => {
    const value = cell.value!
    return (
      <Fragment key={`alike ${value}`}>
        <tr className="alike">
          <th scope="row"><button type="button" className="quiet" aria-expanded={opened.has(value)} onClick={() => fold(value)}>{fill(said.alike, { n: number(run.length, language), all: number(drawn.length, language) })}</button></th>
          <td className="number"><Figure cell={cell} unit={unit} />{mark(run.some((p) => p.disputed))}</td>
          <td className="bar" aria-hidden="true"><Bar from={scale(Math.min(value, 0) - low)} width={scale(Math.abs(value))} zero={value === 0} mark={average === undefined ? undefined : scale(average - low)} /></td>
          {compared && <td className="minor" />}{ratio && <td className="parts" />}
        </tr>
        {opened.has(value) && run.map(row)}
      </Fragment>
    )
  }
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-label={label}>
        <table className="bars">
          <thead>
            <tr>
              <th scope="col">{dimension}</th>
              <th scope="col" className="number">{words.value}</th><th scope="col" aria-hidden="true" className="bar-head" />
              {compared && <th scope="col" className="number minor">{inPoints(words.difference, unit, language)}</th>}
              {ratio && <th scope="col" className="number parts">{words.parts}</th>}
            </tr>
          </thead>
          <tbody onMouseLeave={() => onHot(undefined)}>
            {average !== undefined && (
              <tr className="whole">
                <th scope="row">{words.whole}</th><td className="number">{amount(average, unit, language, labels)}</td>
                <td className="bar" aria-hidden="true"><Bar from={scale(-low)} width={scale(average)} /></td>
                {compared && <td className="minor" />}{ratio && <td className="parts" />}
              </tr>
            )}
            {shown.map((run) => (run.length === 1 ? row(run[0]!) : together(run, run[0]!.cell)))}
          </tbody>
        </table>
      </div>
      {(runs.length > most || without > 0) && (
        <p className="caption most">{runs.length > most && fill(words.tooMany, { shown: shown.reduce((n, run) => n + run.length, 0), all: drawn.length })} {without > 0 && fill(said.without, { n: without })}</p>
      )}
    </>
  )
}

function Bar({ from, width, mark, zero }: { from: number; width: number; mark?: number | undefined; zero?: boolean }) {
  return (
    <svg viewBox="0 0 100 10" preserveAspectRatio="none">
      {zero ? <line className="zero" x1={from} x2={from} y1="0" y2="10" /> : <rect x={from} y="0" width={Math.max(width, 0.2)} height="10" />}
      {mark !== undefined && <line x1={mark} x2={mark} y1="-2" y2="12" />}
    </svg>
  )
}

// drawBars are the same bars for a file; together names the many that say the same, average the whole.
export function drawBars(parts: Part[], say: (part: Part) => string, together: (n: number, all: number) => string, average: { at: number; says: string } | undefined, c: Palette): Drawn {
  const all = parts.filter((p) => p.cell.state !== 'not_applicable')
  const shown = runsOf(all).slice(0, most).map((run) => (run.length === 1 ? run[0]! : { ...run[0]!, name: together(run.length, all.length), disputed: run.some((p) => p.disputed) }))
  const { low, high } = span(shown.map((p) => p.cell))
  const [left, right, row] = [380, 1020, 30]
  const x = (v: number) => left + ((v - low) * (right - left)) / (high - low || 1)
  const out = [hatch(c)]
  const labels: string[] = []
  const top = average ? 30 : 0
  const mid = average && x(average.at)
  const dotted = (from: number, to: number) => mid !== undefined && out.push(`<line x1="${mid}" x2="${mid}" y1="${from}" y2="${to}" stroke="${c.ink}" stroke-dasharray="2 3"/>`)
  if (average && mid !== undefined) {
    labels.push(text(mid, 16, average.says, 15, c.ink, `text-anchor="${mid > (left + right) / 2 ? 'end' : 'start'}"`))
    dotted(22, top)
  }
  shown.forEach((part, i) => {
    const { name, cell } = part
    const y = top + i * row
    out.push(text(left - 14, y + 20, name.length > 42 ? name.slice(0, 41) + '…' : name, 16, c.ink, 'text-anchor="end"'))
    if (measured(cell)) {
      const from = x(Math.min(cell.value!, 0))
      out.push(`<rect x="${from}" y="${y + 5}" width="${Math.max(x(Math.abs(cell.value!) + low) - left, 1.5)}" height="20" fill="${c.bar}"/>`)
      const [begin, said] = [x(Math.max(cell.value!, 0)) + 10, say(part)]
      labels.push(text(begin, y + 20, said, 16, c.ink))
      if (mid === undefined || mid < begin - 6 || mid > begin + 6 + said.length * 10) dotted(y, y + row) // never through a label
    } else {
      if (cell.state === 'not_provided') out.push(`<rect x="${left}" y="${y + 5}" width="${right - left}" height="20" fill="url(#hatch)"/>`)
      out.push(text(left + (cell.state === 'suppressed' ? 30 : 10), y + 20, say(part), 15, c.muted, `paint-order="stroke" stroke="${c.surface}" stroke-width="5"`))
      if (cell.state === 'suppressed') out.push(`<rect x="${left + 4}" y="${y + 8}" width="14" height="14" fill="none" stroke="${c.muted}" stroke-dasharray="3 2"/>`)
    }
  })
  const height = top + shown.length * row
  out.push(`<line x1="${x(0)}" x2="${x(0)}" y1="${top}" y2="${height}" stroke="${c.ink}"/>`)
  return { svg: out.join('') + labels.join(''), height: Math.min(width * 3, height) }
}
