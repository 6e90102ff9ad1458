import { LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent, MarkAreaComponent, TooltipComponent } from 'echarts/components'
import { type EChartsCoreOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Cell, Target, Values } from '../api/client'
import { boundText, changeText, type Voice } from '../finding'
import { amount, cellText, compact, number, period, tick } from '../format'
import { useVoice } from '../voice'
import { fill, nameIn, useWords, type Words } from '../words'

use([LineChart, ScatterChart, GridComponent, MarkAreaComponent, TooltipComponent, SVGRenderer])

interface Palette { ink: string; muted: string; line: string; surface: string; accent: string; off: string; soft: string }

function palette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string) => style.getPropertyValue(name).trim()
  return { ink: of('--ink'), muted: of('--muted'), line: of('--line'), surface: of('--surface'), accent: of('--accent'), off: of('--off'), soft: of('--soft') }
}

const measured = (c: Cell) => (c.state === 'value' || c.state === 'zero') && c.value !== null

// Line draws a figure over time: closed periods solid, periods still arriving
// lighter, the comparison dashed, the target as a step from its act, and a hatched
// gap where nothing was reported. Its table is one key away.
export default function Line({ values, targets }: { values: Values; targets: Target[] }) {
  const box = useRef<HTMLDivElement>(null)
  const voice = useVoice()
  const words = useWords()
  const [colours, setColours] = useState(palette)
  const [narrow, setNarrow] = useState(false)
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const again = () => setColours(palette())
    dark.addEventListener('change', again)
    addEventListener('ombor:theme', again)
    return () => {
      dark.removeEventListener('change', again)
      removeEventListener('ombor:theme', again)
    }
  }, [])
  const chart = useRef<ReturnType<typeof init>>(undefined)
  useEffect(() => {
    const element = box.current!
    const made = init(element, null, { renderer: 'svg' })
    chart.current = made
    const watch = new ResizeObserver(() => {
      made.resize()
      setNarrow(element.clientWidth < 560)
    })
    watch.observe(element)
    return () => {
      watch.disconnect()
      made.dispose()
    }
  }, [])
  const option = useMemo(() => optionOf(values, targets, voice, words, colours, narrow), [values, targets, voice, words, colours, narrow])
  useEffect(() => chart.current?.setOption(option, { notMerge: true }), [option])
  const known = values.cells.filter(measured)
  const label = known.length
    ? `${nameIn(values.title, voice.language, values.kpi)}. ${fill(words.trendSpoken.replace(/^13 [^,:]+[,:] /, ''), {
        first: amount(known[0]!.value!, values.unit, voice.language, voice.labels), firstPeriod: period(known[0]!.period, voice.language),
        last: amount(known.at(-1)!.value!, values.unit, voice.language, voice.labels), lastPeriod: period(known.at(-1)!.period, voice.language),
      })}`
    : words.emptyTitle
  return (
    <>
      {known.length === 0 && <p className="empty">{words.emptyTitle}</p>}
      <div className={known.length === 0 ? 'chart gone' : 'chart'} ref={box} role="img" aria-label={label} />
    </>
  )
}

function optionOf(values: Values, targets: Target[], voice: Voice, words: Words, c: Palette, narrow: boolean): EChartsCoreOption {
  const cells = values.cells
  const target = targets.find((t) => t.kind === 'target' && Object.keys(t.where).length === 0)
  const say = (v: number) => amount(v, values.unit, voice.language, voice.labels)
  const font = { fontFamily: 'Inter Variable, system-ui, sans-serif', fontSize: 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize), color: c.muted }
  const closed = cells.map((cell) => (measured(cell) && !cell.open ? cell.value : null))
  // The line of what still arrives begins at the last closed point.
  const open = cells.map((cell, i) => (measured(cell) && (cell.open || cells[i + 1]?.open) ? cell.value : null))
  const before = cells.map((cell) => cell.comparison?.value ?? null)
  const beforeAt = before.findIndex((v) => v !== null)
  const asked = target ? cells.map((cell) => (!target.in_force || (cell.to ?? cell.period) >= target.in_force ? target.value : null)) : []
  const few = cells.length <= 31
  const lastAt = cells.findLastIndex(measured)
  const missing = gaps(cells).map(([first, last]) => [{ xAxis: Math.max(first - 1, 0) }, { xAxis: Math.min(last + 1, cells.length - 1) }])
  const series = [
    {
      type: 'line', name: nameIn(values.title, voice.language), data: closed.map((value, i) => (i === lastAt ? { value, label: { show: true } } : value)), connectNulls: false, showSymbol: true, symbol: 'circle', symbolSize: few ? 5 : 0.1,
      lineStyle: { color: c.accent, width: 2 }, itemStyle: { color: c.accent }, z: 4,
      label: { show: false, position: 'top', formatter: (p: { value: number }) => say(p.value), color: c.ink, fontFamily: font.fontFamily, fontWeight: 600, fontSize: font.fontSize },
      markArea: { silent: true, itemStyle: { color: hatch(c.line) }, data: missing },
    },
    {
      type: 'line', data: open.map((value, i) => (i === lastAt ? { value, label: { show: true } } : cells[i]?.open ? value : { value, symbol: 'none' })), connectNulls: false, showSymbol: true, symbol: 'emptyCircle', symbolSize: few ? 5 : 0.1,
      lineStyle: { color: c.accent, width: 2, type: [2, 4], opacity: 0.75 }, itemStyle: { color: c.accent }, z: 3,
      label: { show: false, position: 'top', formatter: (p: { value: number }) => say(p.value), color: c.muted, fontFamily: font.fontFamily, fontSize: font.fontSize },
    },
    ...(before.some((v) => v !== null) ? [{ type: 'line', data: before.map((value, i) => (i === beforeAt ? { value, label: { show: true } } : { value, symbol: 'none' })), connectNulls: false, symbol: 'circle', symbolSize: 0.1,
      label: { show: false, position: 'top', align: beforeAt < cells.length / 2 ? 'left' : 'right', formatter: values.compare === 'year' ? words.earlierYear : words.earlierPeriod, color: c.muted, fontFamily: font.fontFamily, fontSize: font.fontSize }, lineStyle: { color: c.muted, width: 1.5, type: 'dashed' }, itemStyle: { color: c.muted }, z: 2 }] : []),
    ...(target ? [{
      type: 'line', data: asked.map((value, i) => (i === asked.length - 1 ? { value, label: { show: true } } : { value, symbol: 'none' })), step: 'middle', symbol: 'circle', symbolSize: 0.1,
      lineStyle: { color: c.off, width: 1.5 }, itemStyle: { color: c.off }, z: 1, silent: true,
      label: { show: false, position: 'top', align: 'right', formatter: `${words.target}: ${boundText(target, values.unit, voice)}`, color: c.off, fontFamily: font.fontFamily, fontSize: font.fontSize },
    }] : []),
    {
      type: 'scatter', symbol: 'diamond', symbolSize: 9, itemStyle: { color: c.muted }, z: 5,
      data: cells.flatMap((cell) => (cell.state === 'suppressed' ? [[cell.period, 0]] : [])),
    },
  ]
  return {
    animation: false,
    grid: { left: 8, right: narrow ? 24 : 2.7 * font.fontSize, top: 2.4 * font.fontSize, bottom: 8, containLabel: true },
    textStyle: { fontFamily: font.fontFamily },
    xAxis: {
      type: 'category', data: cells.map((cell) => cell.period), boundaryGap: cells.length < 2, axisTick: { show: false },
      axisLine: { lineStyle: { color: c.line } }, axisLabel: { ...font, hideOverlap: true, formatter: (p: string) => tick(p, voice.language, cells.length > 18) },
    },
    yAxis: {
      type: 'value', scale: values.unit === 'percent' || values.unit === 'ratio', splitNumber: narrow ? 3 : 5,
      splitLine: { lineStyle: { color: c.soft } }, axisLabel: { ...font, formatter: (v: number) => axisText(v, values.unit, voice.language) },
    },
    tooltip: {
      trigger: 'axis', confine: true, backgroundColor: c.surface, borderColor: c.line, borderWidth: 1, padding: 0, extraCssText: 'box-shadow:none',
      axisPointer: { type: 'line', lineStyle: { color: c.muted, type: 'solid', width: 1 } },
      formatter: (points: { dataIndex: number }[]) => {
        const cell = cells[points[0]?.dataIndex ?? -1]
        return cell ? tip(cell, values.unit, voice, words) : ''
      },
    },
    series,
  }
}

// gaps are the runs of cells for which no report was received, as first and last index.
function gaps(cells: Cell[]): [number, number][] {
  const runs: [number, number][] = []
  cells.forEach((cell, i) => {
    if (cell.state !== 'not_provided') return
    const run = runs.at(-1)
    if (run && run[1] === i - 1) run[1] = i
    else runs.push([i, i])
  })
  return runs
}

const axisText = (v: number, unit: string, language: string) => (unit === 'percent' ? number(v, language) + '\u00a0%' : unit === 'count' && Math.abs(v) >= 10_000 ? compact(v, language) : amount(v, unit, language))

// tip is built of elements, not of text with styles in it: the page's security
// policy does not apply styles written in markup.
function tip(cell: Cell, unit: string, voice: Voice, words: Words): HTMLElement {
  const box = document.createElement('div')
  box.className = 'tip'
  const add = (tag: string, text: string) => {
    if (!text) return
    const line = document.createElement(tag)
    line.textContent = text
    box.append(line)
  }
  add('b', period(cell.period, voice.language))
  add('span', cellText(cell, unit, voice.language, voice.labels))
  if (cell.numerator !== null && cell.denominator !== null) {
    add('small', fill(words.of, { numerator: number(cell.numerator, voice.language), denominator: number(cell.denominator, voice.language) }))
  }
  add('small', changeText(cell, unit, voice))
  if (cell.open) add('small', words.open)
  return box
}

// hatch is a pattern of thin diagonals, for what was not reported.
function hatch(colour: string): unknown {
  const tile = document.createElement('canvas')
  tile.width = tile.height = 8
  const pen = tile.getContext('2d')
  if (!pen) return colour
  pen.strokeStyle = colour
  pen.lineWidth = 1.5
  pen.beginPath()
  pen.moveTo(0, 8)
  pen.lineTo(8, 0)
  pen.stroke()
  return { image: tile, repeat: 'repeat' }
}
