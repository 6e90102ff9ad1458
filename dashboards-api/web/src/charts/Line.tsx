import { LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from 'echarts/components'
import { type ECharts, type EChartsCoreOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import type { Cell, Target, Values, Version } from '../api/client'
import { boundText, changeText, type Voice } from '../finding'
import { amount, cellText, compact, day, number, period, shortDay, tick } from '../format'
import { useVoice } from '../voice'
import { fill, useWordsOf, type Words, wordsOf } from '../words'
import { axis } from './scale'
import './charts.css'
import { type Flag, flags, folded, gaps, parts, steps } from './line'
import { type Palette, usePalette } from './palette'
import { type Drawn, family, margin, width } from './picture'
import { measured } from './states'
import { wasText } from './was'
import { chartWords, type ChartWords, words as allWords } from './words'

use([LineChart, ScatterChart, GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent, SVGRenderer])

export interface Shown {
  values: Values
  targets: Target[]
  versions: Version[]
}

// Room is what a line has to stand in: whether it is as narrow as on a phone, and the size of
// small text in pixels.
interface Room {
  narrow: boolean
  size: number
}

// Line draws a figure over time: closed periods solid, periods still arriving lighter and
// dotted, the comparison dashed, the target as a step of dashes and dots from the day of its act, a hatched gap
// where nothing was reported, a ring where a published figure was corrected, and flags for
// the acts. Arrow keys go from point to point and say each. label is what the line says.
export default function Line({ shown, label }: { shown: Shown; label: string }) {
  const box = useRef<HTMLDivElement>(null)
  const voice = useVoice()
  const said = useWordsOf(allWords)
  const colours = usePalette()
  const [room, setRoom] = useState<Room>()
  const [chart, setChart] = useState<ECharts>()
  const [at, go] = useState(-1)
  const known = room !== undefined
  useEffect(() => {
    const element = box.current!
    const watch = new ResizeObserver(() => {
      if (element.clientWidth === 0) return // hidden: it keeps what it has
      const now = { narrow: element.clientWidth < 560, size: 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize) }
      setRoom((old) => (old?.narrow === now.narrow && old.size === now.size ? old : now))
    })
    watch.observe(element)
    return () => watch.disconnect()
  }, [])
  // The library takes its time: it begins in a task of its own, once it is known how much room
  // there is, and so draws once.
  useEffect(() => {
    if (!known) return
    const element = box.current!
    let made: ECharts | undefined
    const begin = setTimeout(() => setChart((made = init(element, null, { renderer: 'svg' }))))
    const watch = new ResizeObserver(() => {
      if (made && element.clientWidth > 0 && (made.getWidth() !== element.clientWidth || made.getHeight() !== element.clientHeight)) made.resize()
    })
    watch.observe(element)
    return () => {
      clearTimeout(begin)
      watch.disconnect()
      made?.dispose()
    }
  }, [known])
  const option = useMemo(() => room && optionOf(shown, voice, said, colours, room), [shown, voice, said, colours, room])
  useEffect(() => {
    if (option && chart && !chart.isDisposed()) chart.setOption(option, { notMerge: true, lazyUpdate: true })
  }, [chart, option])
  const cells = shown.values.cells
  const onKey = (event: KeyboardEvent) => {
    const to = { ArrowRight: Math.min(at + 1, cells.length - 1), ArrowLeft: Math.max(at < 0 ? cells.length - 1 : at - 1, 0), Home: 0, End: cells.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    go(to)
    chart?.dispatchAction({ type: 'showTip', seriesIndex: 0, dataIndex: to })
  }
  const leave = () => {
    go(-1)
    chart?.dispatchAction({ type: 'hideTip' })
  }
  const here = cells[at]
  const more = room ? taller(shown, voice, room.narrow) * 1.5 * room.size : 0
  return (
    <div className="line-chart" role="group" aria-roledescription={said.chart} aria-label={label} tabIndex={0} onKeyDown={onKey} onBlur={leave}>
      <div className="chart" ref={box} aria-hidden="true" style={more > 0 ? { height: `calc(var(--chart) + ${more}px)` } : undefined} />
      <span className="spoken" aria-live="polite">{here && tips(here, shown.values.unit, voice, said).join(', ')}</span>
    </div>
  )
}

// drawLine is the same line for a file.
export function drawLine(shown: Shown, voice: Voice, colours: Palette): Drawn {
  const height = 520 + taller(shown, voice, false) * 1.5 * 16
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: width - 2 * margin, height })
  chart.setOption(optionOf(shown, voice, chartWords(voice.language), colours, { narrow: false, size: 16 }))
  const svg = chart.renderToSVGString()
  chart.dispose()
  return { svg: `<g transform="translate(${margin} 0)">${svg}</g>`, height }
}

function optionOf({ values, targets, versions }: Shown, voice: Voice, said: ChartWords, c: Palette, { narrow, size }: Room): EChartsCoreOption {
  const words = wordsOf(voice.language)
  const cells = values.cells
  const variant = values.variant ?? ''
  const target = targets.find((t) => t.kind === 'target' && t.variant === variant && t.value !== null && Object.keys(t.where).length === 0)
  const say = (v: number) => amount(v, values.unit, voice.language, voice.labels)
  const font = { fontFamily: family, fontSize: size, color: c.muted }
  const { settled, arriving } = parts(cells)
  const before = cells.map((cell) => cell.comparison?.value ?? null)
  const asked = target ? steps(cells, target) : []
  const many = cells.length > 31
  const lastAt = cells.findLastIndex(measured)
  const around = (i: number) => cells.slice(Math.max(0, i - 1), i + 2).map((cell) => cell.value ?? 0)
  const fromZero = values.unit !== 'percent' && values.unit !== 'ratio'
  const scale = axis([...cells.flatMap((cell) => (measured(cell) ? [cell.value!] : [])), ...before.filter((v) => v !== null), ...asked.filter((v) => v !== null)], narrow ? 4 : 6, fromZero)
  // The last label stands where the line and its target leave room for it.
  const last = cells[lastAt]?.value ?? 0
  const above = (asked[lastAt] ?? Infinity) - last
  const place = lastAt > 0 && (last < Math.max(...around(lastAt)) || (above >= 0 && above < (scale.high - scale.low) / 8)) ? 'bottom' : 'top'
  const named = (at: number, label: string, colour: string, more: object = {}) => ({
    show: true, position: 'top', align: at < cells.length / 3 ? 'left' : at > (cells.length * 2) / 3 ? 'right' : 'center',
    formatter: label, color: colour, fontFamily: family, fontSize: size, ...more,
  })
  const labelled = (data: (number | null)[], at: number, label: object) => data.map((value, i) => (i === at ? { value, label, symbol: 'circle' } : { value, symbol: 'none' }))
  const valueLabel = { show: true, position: place, align: lastAt > 0 ? 'right' : 'center', formatter: (p: { value: number }) => say(p.value), color: c.ink, fontFamily: family, fontSize: size + 1, fontWeight: 650 }
  const point = (value: number | null, i: number) => (i === lastAt ? { value, label: valueLabel } : value)
  const flagList = flags(cells, targets, versions, variant, voice.language)
  const flagRows = rowsOf(flagList, said, voice.language, narrow)
  const silent = gaps(cells)
  const series: object[] = [
    {
      type: 'line', data: settled.map(point), connectNulls: false, showSymbol: true, symbol: 'circle', symbolSize: many ? 0.1 : 5, z: 4,
      lineStyle: { color: c.accent, width: 2 }, itemStyle: { color: c.accent },
      ...(silent.length && { markArea: { silent: true, itemStyle: { color: hatch(c.muted) }, data: silent.map(([first, last]) => [{ xAxis: Math.max(first - 1, 0) }, { xAxis: Math.min(last + 1, cells.length - 1) }]) } }),
      ...(flagList.length && { markLine: flagMarks(flagRows, cells.length, c, size) }),
    },
    {
      type: 'line', connectNulls: false, showSymbol: true, symbol: 'emptyCircle', symbolSize: many ? 0.1 : 6, z: 3,
      data: arriving.map((value, i) => (cells[i]?.open ? point(value, i) : { value, symbol: 'none' })),
      lineStyle: { color: c.accent, width: 2, type: [2, 4], opacity: 0.75 }, itemStyle: { color: c.accent },
    },
  ]
  const beforeAt = before.findIndex((v) => v !== null)
  if (before.filter((v) => v !== null).length > 1) {
    series.push({
      type: 'line', connectNulls: false, symbolSize: 0.1, z: 2, silent: true, lineStyle: { color: c.muted, width: 1.5, type: 'dashed' }, itemStyle: { color: c.muted },
      data: labelled(before, beforeAt, named(beforeAt, comparedWith(values.compare, said), c.muted, { position: 'bottom' })),
    })
  }
  if (target) {
    const at = asked.findIndex((v) => v !== null)
    const below = cells.some((cell, i) => measured(cell) && i >= at && i < at + cells.length / 3 && cell.value! >= target.value!)
    series.push({
      type: 'line', step: 'end', symbolSize: 0.1, z: 1, silent: true, lineStyle: { color: c.off, width: 1.5, type: [10, 3, 2, 3] }, itemStyle: { color: c.off },
      data: labelled(asked, at, named(at, `${words.target}: ${boundText(target, values.unit, voice)}`, c.off, { position: below ? 'bottom' : 'top', align: at < cells.length / 2 ? 'left' : 'right', offset: [at < cells.length / 2 ? 6 : -6, 0] })),
    })
  }
  const marks = (data: [string, number][], more: object) => data.length && series.push({ type: 'scatter', data, silent: true, z: 5, ...more })
  marks(cells.flatMap((cell) => (cell.state === 'suppressed' ? [[cell.period, scale.low] as [string, number]] : [])), { symbol: 'diamond', symbolSize: 9, itemStyle: { color: c.surface, borderColor: c.muted, borderWidth: 1.5 } })
  marks(cells.flatMap((cell) => (cell.state === 'zero' ? [[cell.period, 0] as [string, number]] : [])), { symbol: 'rect', symbolSize: [9, 3], itemStyle: { color: c.accent }, label: { show: !many, position: 'top', formatter: '0', color: c.ink, fontFamily: family, fontSize: size } })
  const corrected = cells.filter((cell) => cell.corrected && measured(cell))
  marks(corrected.map((cell) => [cell.period, cell.value!]), {
    symbol: 'circle', symbolSize: 12, itemStyle: { color: 'transparent', borderColor: c.ink, borderWidth: 1.5 },
    label: {
      show: corrected.length <= (narrow ? 1 : 4), position: 'bottom', color: c.muted, fontFamily: family, fontSize: size - 1,
      formatter: (p: { dataIndex: number }) => wasText(corrected[p.dataIndex]!, values.unit, voice, said.was),
    },
  })
  const room = linesOf(flagRows)
  const ticks = Array.from({ length: Math.round((scale.high - scale.low) / scale.step) + 1 }, (_, i) => axisText(scale.low + i * scale.step, scale.step, values.unit, voice))
  return {
    animation: false,
    // The room of the axes' words is reckoned from their letters: the library would draw the axes twice to find it.
    // Half of the first period's word stands left of its point.
    grid: { left: Math.max((0.66 * Math.max(...ticks.map((t) => t.length)) + 0.9) * size, 0.32 * (cells[0] ? tick(cells[0].period, voice.language, cells.length > 18).length : 0) * size), right: narrow ? 16 : 2 * size, top: (1.8 + 1.5 * room) * size, bottom: 2.4 * size, outerBoundsMode: 'none' },
    textStyle: { fontFamily: family },
    xAxis: {
      type: 'category', data: cells.map((cell) => cell.period), boundaryGap: cells.length < 2, axisTick: { show: false },
      axisLine: { lineStyle: { color: c.line } }, axisLabel: { ...font, margin: 0.9 * size, hideOverlap: true, formatter: (p: string) => tick(p, voice.language, cells.length > 18) },
    },
    yAxis: {
      type: 'value', min: scale.low, max: scale.high, interval: scale.step,
      splitLine: { lineStyle: { color: c.soft } }, axisLabel: { ...font, formatter: (v: number) => axisText(v, scale.step, values.unit, voice) },
    },
    tooltip: {
      trigger: 'axis', confine: true, backgroundColor: c.surface, borderColor: c.line, borderWidth: 1, padding: 0, extraCssText: 'box-shadow:none',
      axisPointer: { type: 'line', lineStyle: { color: c.muted, type: 'solid', width: 1 } },
      formatter: (points: { dataIndex: number }[]) => {
        const cell = cells[points[0]?.dataIndex ?? -1]
        return cell ? tip(cell, values.unit, voice, said, flagList.filter((f) => cells[f.at] === cell)) : ''
      },
    },
    series,
  }
}

interface FlagRow { at: number; lines: string[] }

// rowsOf are the words of flags by their period, in lines that have room: none is cut.
function rowsOf(list: Flag[], said: ChartWords, language: string, narrow: boolean): FlagRow[] {
  return [...new Set(list.map((f) => f.at))].slice(0, 3).map((at) => ({
    at, lines: folded(`⚑ ${list.filter((f) => f.at === at).map((f) => fill(said.flags[f.kind], { act: f.act, day: shortDay(f.day, language) })).join(' · ')}`, narrow ? 34 : 72),
  }))
}

const linesOf = (rows: FlagRow[]) => rows.reduce((n, row) => n + row.lines.length, 0)

// taller is by how many lines of small text a chart is higher than others, for its flags.
function taller({ values, targets, versions }: Shown, voice: Voice, narrow: boolean): number {
  return Math.max(0, linesOf(rowsOf(flags(values.cells, targets, versions, values.variant ?? '', voice.language), chartWords(voice.language), voice.language, narrow)) - 3)
}

// flagMarks are thin lines with a small flag; flags of different periods stand one below
// the other, so that their words never meet.
function flagMarks(rows: FlagRow[], cells: number, c: Palette, size: number): object {
  return {
    silent: true, symbol: ['none', 'none'], lineStyle: { color: c.muted, width: 1, type: [2, 2] }, z: 1,
    data: rows.map(({ at, lines }, row) => ({
      xAxis: at,
      label: {
        show: true, position: 'end', distance: 5 + linesOf(rows.slice(row + 1)) * 1.5 * size, color: c.muted, fontFamily: family, fontSize: size - 0.5, lineHeight: 1.5 * size,
        align: at < cells / 3 ? 'left' : at > (cells * 2) / 3 ? 'right' : 'center', formatter: lines.join('\n'),
      },
    })),
  }
}

const comparedWith = (compare: string | undefined, said: ChartWords) => (compare === 'national' ? said.comparedWhole : compare === 'year' ? said.comparedYear : said.comparedBefore)

function axisText(v: number, step: number, unit: string, voice: Voice): string {
  const digits = step < 0.1 ? 2 : step < 1 || (step % 1 !== 0 && step < 10) ? 1 : 0
  if (unit === 'percent') return number(v, voice.language, digits) + '\u00a0%'
  if (Math.abs(v) >= 10_000 && unit !== 'bytes') return compact(v, voice.language)
  return unit === 'bytes' ? amount(v, unit, voice.language) : number(v, voice.language, digits)
}

// tips is what there is to say of a point, the most important first.
export function tips(cell: Cell, unit: string, voice: Voice, said: ChartWords, flagList: Flag[] = []): string[] {
  const words: Words = wordsOf(voice.language)
  return [
    period(cell.period, voice.language),
    cellText(cell, unit, voice.language, voice.labels),
    cell.numerator !== null && cell.denominator !== null ? fill(words.of, { numerator: number(cell.numerator, voice.language), denominator: number(cell.denominator, voice.language) }) : '',
    changeText(cell, unit, voice),
    cell.corrected ? `${fill(said.correctedOn, { day: day(cell.corrected, voice.language) })}, ${wasText(cell, unit, voice, said.was)}` : '',
    cell.open ? words.open : cell.closed ? fill(said.closedOn, { day: day(cell.closed, voice.language) }) : '',
    ...flagList.map((f) => fill(said.flags[f.kind], { act: f.act, day: shortDay(f.day, voice.language) })),
  ].filter(Boolean)
}

// tip is built of elements, not of text with styles in it: the page's security policy does
// not apply styles written in markup.
function tip(cell: Cell, unit: string, voice: Voice, said: ChartWords, flagList: Flag[]): HTMLElement {
  const box = document.createElement('div')
  box.className = 'tip'
  tips(cell, unit, voice, said, flagList).forEach((text, i) => {
    const line = document.createElement(i === 0 ? 'b' : i === 1 ? 'span' : 'small')
    line.textContent = text
    box.append(line)
  })
  return box
}

// hatch is a pattern of thin diagonals, for what was not reported.
function hatch(colour: string): unknown {
  const tile = document.createElement('canvas')
  tile.width = tile.height = 8
  const pen = tile.getContext('2d')
  if (!pen) return colour
  pen.strokeStyle = colour
  pen.globalAlpha = 0.6
  pen.beginPath()
  pen.moveTo(0, 8)
  pen.lineTo(8, 0)
  pen.stroke()
  return { image: tile, repeat: 'repeat' }
}
