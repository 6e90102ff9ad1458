import { useEffect, useRef, useState } from 'react'
import type { Cell, HeldTarget } from '../api/client'
import { justNow } from '../api/live'
import type { Voice } from '../finding'
import { amount, cellText, difference, period, shortDay } from '../format'
import { useVoice } from '../voice'
import { fill, useWords, wordsOf } from '../words'

const measured = (cell: Cell) => (cell.state === 'value' || cell.state === 'zero') && cell.value !== null

// Figure is a cell said in its state: a number, or why there is none. One that news changed
// under the reader's eyes is lit for a moment.
export function Figure({ cell, unit }: { cell: Cell; unit: string }) {
  const { language, labels } = useVoice()
  const words = useWords()
  const text = cellText(cell, unit, language, labels)
  const before = useRef(text)
  const [lit, light] = useState(false)
  useEffect(() => {
    if (before.current !== text && justNow()) light(true)
    before.current = text
  }, [text])
  return (
    <span className={`figure${measured(cell) ? '' : ` without ${cell.state}`}${lit ? ' lit' : ''}`} onAnimationEnd={() => light(false)}>
      {measured(cell) ? <Told text={text} /> : text}
      {cell.open && measured(cell) && <span className="tag" title={words.openLong}>{words.open}</span>}
    </span>
  )
}

// Told is a number beside its unit: where both have no room on a line, they part before the unit's
// words and never within the number.
function Told({ text }: { text: string }) {
  const [, before, value, unit] = /^([^\d−]*)([\d−][\d\s.,]*?)(\u00a0\p{L}.*)?$/u.exec(text) ?? []
  if (value === undefined || !(before || unit)) return text
  return <>{before && <small>{before}</small>}<span>{value}</span>{unit && <><wbr /><small>{unit}</small></>}</>
}

const shapes: Record<string, string> = { reached: '●', on_course: '●', at_risk: '▲', off_course: '■', open: '○', missed: '■', unmeasured: '○', published: '○' }

// Status says how a target stands by colour, shape and word.
export function Status({ target }: { target: HeldTarget }) {
  const words = useWords()
  return (
    <span className={`status ${target.status}`}>
      <span aria-hidden="true">{shapes[target.status]}</span> {words.status[target.status]}
    </span>
  )
}

export function gapText(target: HeldTarget, unit: string, language: string, words: ReturnType<typeof useWords>): string {
  if (target.gap === null) return ''
  if (target.gap <= 0) return words.gapMet
  const value = difference(target.gap, unit, language)
  return fill(target.status === 'missed' ? words.gapShort : words.gap, { value })
}

// verdictText tells of a target whose day has passed with which figure it was reached or missed, and
// how it stands now, where the figure beside it is of a later day and another; else empty.
export function verdictText(target: HeldTarget, cell: Cell, unit: string, voice: Voice): string {
  const words = wordsOf(voice.language)
  if ((target.status !== 'reached' && target.status !== 'missed') || !target.due || !cell.to || cell.to <= target.due || target.measured === null || target.value === null || !measured(cell) || cell.value === target.measured) return ''
  const now = target.comparator === 'at_least' ? cell.value! >= target.value : target.comparator === 'at_most' ? cell.value! <= target.value : undefined
  const since = now === undefined ? '' : target.status === 'missed' ? (now ? words.reachedSince : words.missedStill) : now ? '' : words.reachedNoLonger
  return [fill(words.verdictOn, { day: shortDay(target.due, voice.language), value: amount(target.measured, unit, voice.language, voice.labels) }), since].filter(Boolean).join('; ')
}

// TargetBar shows the value against the target on an axis from zero.
export function TargetBar({ cell, target }: { cell: Cell; target: HeldTarget }) {
  if (!measured(cell) || target.value === null || target.value <= 0) return null
  const end = Math.max(cell.value!, target.value) * 1.08
  return (
    <svg className={`target-bar ${target.status}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect className="track" x="0" y="2" width="100" height="4" />
      <rect className="fill" x="0" y="2" width={(100 * Math.max(cell.value!, 0)) / end} height="4" />
      <rect className="mark" x={(100 * target.value) / end - 0.5} y="0" width="1" height="8" />
    </svg>
  )
}

const width = 120
const height = 32

// Spark is a line of cells without axes. It breaks where there is no value: a
// missing month is a gap, never a zero and never a line through it.
export function Spark({ cells, unit, bound }: { cells: Cell[]; unit: string; bound?: number | undefined }) {
  const { language, labels } = useVoice()
  const words = useWords()
  const known = cells.filter(measured)
  if (known.length < 2) return <span className="spark-none">{words.trendNone}</span>
  const values = known.map((c) => c.value!)
  if (bound !== undefined) values.push(bound)
  const low = Math.min(...values)
  const high = Math.max(...values)
  const x = (i: number) => 3 + (i * (width - 6)) / Math.max(cells.length - 1, 1)
  const y = (v: number) => (high === low ? height / 2 : height - 4 - ((v - low) * (height - 8)) / (high - low))
  const runs: { open: boolean; points: string[] }[] = []
  cells.forEach((cell, i) => {
    if (!measured(cell)) return
    const point = `${x(i).toFixed(1)},${y(cell.value!).toFixed(1)}`
    const before = cells[i - 1]
    const run = runs[runs.length - 1]
    if (!before || !measured(before) || !run) runs.push({ open: cell.open, points: [point] })
    else if (cell.open && !run.open) runs.push({ open: true, points: [run.points[run.points.length - 1]!, point] })
    else run.points.push(point)
  })
  const last = known[known.length - 1]!
  const first = known[0]!
  const label = fill(words.trendSpoken, {
    first: amount(first.value!, unit, language, labels), firstPeriod: period(first.period, language),
    last: amount(last.value!, unit, language, labels), lastPeriod: period(last.period, language),
  })
  return (
    <svg className="spark" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {bound !== undefined && <line className="bound" x1="0" x2={width} y1={y(bound)} y2={y(bound)} />}
      {runs.map((run, i) => <polyline key={i} className={run.open ? 'open' : undefined} points={run.points.join(' ')} />)}
      <circle cx={x(cells.indexOf(last))} cy={y(last.value!)} r="2.5" />
    </svg>
  )
}
