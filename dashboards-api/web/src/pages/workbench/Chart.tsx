import { BarChart, LineChart } from 'echarts/charts'
import { GridComponent, TooltipComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { LabelLayout } from 'echarts/features'
import { SVGRenderer } from 'echarts/renderers'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { RunColumn } from '../../api/client'
import { usePalette } from '../../charts/palette'
import { localeOf, number } from '../../format'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { drawing, type Drawing, isNumber, linesOf, numberOf, textOf } from './statement'
import { words } from './words'

use([LineChart, BarChart, GridComponent, TooltipComponent, LabelLayout, SVGRenderer])

const plain = (v: number, language: string) => new Intl.NumberFormat(localeOf(language), { maximumSignificantDigits: 15 }).format(v)

const mostBars = 60
const mostPoints = 2000
const mostLines = 20

// Chart draws one column of a result over another. The grid beside it is its table.
export function Chart({ columns, rows }: { columns: RunColumn[]; rows: unknown[][] }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const palette = usePalette()
  const host = useRef<HTMLDivElement>(null)
  const [chosen, choose] = useState<Partial<Drawing>>({})
  const guess = useMemo(() => drawing(columns), [columns])
  const d = guess && { ...guess, ...chosen }
  // Rows that share what they stand over are told apart by the first other column of words.
  const by = d ? columns.findIndex((c, i) => i !== d.x && i !== d.y && !isNumber(c.type)) : -1
  const points = useMemo(() => (d ? rows.map((r) => ({ x: r[d.x] === null ? 'NULL' : textOf(r[d.x]), y: numberOf(r[d.y]), of: by < 0 ? '' : textOf(r[by]) })) : []), [rows, d?.x, d?.y, by])
  const kind = d?.kind
  const shown = useMemo(() => points.slice(0, kind === 'line' ? mostPoints : mostBars), [points, kind])
  const drawn = useMemo(() => linesOf(shown), [shown])
  const shared = drawn.at.length < shown.length
  useEffect(() => {
    if (!host.current || !kind) return
    const chart = init(host.current, undefined, { renderer: 'svg' })
    const bars = kind === 'bars'
    const lines = (shared ? drawn.lines : linesOf(shown.map((p) => ({ ...p, of: '' }))).lines).slice(0, mostLines)
    const names = { type: 'category' as const, data: bars ? shown.map((p) => (shared && p.of ? `${p.x} · ${p.of}` : p.x)) : drawn.at, inverse: bars, axisLabel: { color: palette.ink, width: bars ? 220 : undefined, overflow: 'truncate' as const }, axisLine: { lineStyle: { color: palette.line } }, axisTick: { show: false } }
    const values = { type: 'value' as const, scale: !bars, axisLabel: { color: palette.muted, formatter: (v: number) => plain(v, language) }, splitLine: { lineStyle: { color: palette.line } } }
    chart.setOption({
      animation: false, textStyle: { fontFamily: 'inherit' }, grid: { left: 8, right: !bars && lines.length > 1 ? 160 : 24, top: 16, bottom: 8, containLabel: true },
      xAxis: bars ? values : names, yAxis: bars ? names : values,
      tooltip: { trigger: 'axis', transitionDuration: 0, className: 'tooltip', valueFormatter: (v: unknown) => (typeof v === 'number' ? plain(v, language) : '–') },
      series: bars
        ? [{ type: 'bar', name: columns[d!.y]!.name, data: shown.map((p) => p.y ?? null), itemStyle: { color: palette.bar } }]
        : lines.map(({ of, values }) => ({ type: 'line', name: of || columns[d!.y]!.name, data: values, itemStyle: { color: palette.accent }, showSymbol: drawn.at.length < 40, connectNulls: false, endLabel: { show: lines.length > 1, formatter: '{a}', color: palette.ink }, labelLayout: { hideOverlap: true }, emphasis: { focus: 'series' } })),
    })
    const seen = new ResizeObserver(() => chart.resize())
    seen.observe(host.current)
    return () => {
      seen.disconnect()
      chart.dispose()
    }
  }, [shown, drawn, shared, kind, palette, language, columns, d?.y])
  if (!d) return <p className="wb-note">{said.noChart}</p>
  const pick = (part: 'x' | 'y') => (event: { target: { value: string } }) => choose({ ...chosen, [part]: Number(event.target.value) })
  const name = fill(said.chartOf, { y: columns[d.y]!.name, x: columns[d.x]!.name })
  return (
    <div className="wb-chart">
      <div className="filters">
        <div className="group" role="group" aria-label={said.chartKind}>
          {(['bars', 'line'] as const).map((k) => <button key={k} type="button" aria-pressed={k === kind} onClick={() => choose({ ...chosen, kind: k })}>{said[k]}</button>)}
        </div>
        <div className="filter"><label htmlFor="wb-y">{said.figureColumn}</label>
          <select id="wb-y" value={d.y} onChange={pick('y')}>{columns.map((c, i) => isNumber(c.type) && <option key={i} value={i}>{c.name}</option>)}</select></div>
        <div className="filter"><label htmlFor="wb-x">{said.overColumn}</label>
          <select id="wb-x" value={d.x} onChange={pick('x')}>{columns.map((c, i) => <option key={i} value={i}>{c.name}</option>)}</select></div>
      </div>
      <div ref={host} role="img" aria-label={name} className="wb-drawn" style={{ height: kind === 'bars' ? Math.max(160, shown.length * 26 + 60) : 360 }} />
      <p className="caption">{name}{shared && by >= 0 && !drawn.clash ? ` · ${fill(said.chartBy, { by: columns[by]!.name })}` : ''}{kind === 'line' && shared && drawn.clash ? ` · ${fill(said.chartClash, { x: columns[d.x]!.name })}` : ''}{kind === 'line' && shared && drawn.lines.length > mostLines ? ` · ${fill(said.chartLines, { shown: number(mostLines, language), all: number(drawn.lines.length, language) })}` : ''}{shown.length < points.length ? ` · ${fill(said.chartCut, { shown: number(shown.length, language), all: number(points.length, language) })}` : ''}</p>
    </div>
  )
}
