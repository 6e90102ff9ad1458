import { useQuery } from '@tanstack/react-query'
import { memo, useMemo, useState } from 'react'
import { get, type Kpi, type Table, valuesPath, type Values } from '../../api/client'
import { Bars, drawBars, most, type Part } from '../../charts/Bars'
import { fetchDrawing, mapOf } from '../../charts/drawing'
import { drawHeat, Heat, type HeatRow } from '../../charts/Heat'
import { palette } from '../../charts/palette'
import { drawMap, RegionMap } from '../../charts/RegionMap'
import { measured, ranked } from '../../charts/states'
import { chartWords } from '../../charts/words'
import { dimensionName, partName, scopedTitle, type Voice } from '../../finding'
import { amount, cellText, dimensionValue, inPoints, number, period, signed } from '../../format'
import { DataTable } from '../../parts/DataTable'
import { disputeOf, type Replies, useDisputes } from '../../parts/Disputed'
import { Figure } from '../../parts/Figures'
import { Choose, useChange } from '../../parts/Filters'
import { Failure, NotOffered, Skeleton } from '../../parts/States'
import { type Search, withFilter } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { Caption, sourceOf } from './Caption'
import { type Asked, coarse, next, useParts, useValues } from './question'
import { type Answer, besideIn } from './Replies'
import { partsSay } from './says'
import style from './style.module.css'
import { Take } from './Take'
import { words as allWords } from './words'

// partsOf are the ranked parts of a breakdown; a part leads to the page of that part, broken
// down by the next dimension.
function partsOf(values: Values, by: string, kpi: Kpi, asked: Asked, search: Search, voice: Voice, disputes: Replies | undefined): Part[] {
  const finer = next(asked, search, by)
  return ranked(values.cells.map((cell) => {
    const code = dimensionValue(cell, by)
    return { code, name: partName(values, by, code, voice), cell, search: code === '' ? undefined : { ...search, where: withFilter(search, by, code), by: finer }, disputed: disputeOf(disputes, kpi.id, cell, withFilter(search, by, code)) !== undefined }
  }))
}

// useDrawing is the map that the pack says a reference table lies on; null when it says none
// or the build has none of that name.
function useDrawing(table: string, language: string) {
  const regions = useQuery({ queryKey: [table], queryFn: ({ signal }) => get<Table>(`/v1/${table}`, signal), enabled: table === 'regions' })
  const map = regions.data && mapOf(regions.data)
  const drawing = useQuery({ queryKey: ['drawing', map?.name], queryFn: () => fetchDrawing(map!.name), enabled: map !== undefined })
  const names = useMemo(() => new Map(regions.data?.rows.map((r) => [r.code, nameIn(r.names, language, r.code)])), [regions.data, language])
  return { names, places: map?.places, drawing: drawing.data, waiting: table === 'regions' && (regions.isPending || (map !== undefined && drawing.isPending)) }
}

// Where breaks the figure down by a dimension: as map beside bars, as bars, as a heat map of
// periods, as a table.
export const Where = memo(function Where({ kpi, asked, whole, replies }: { kpi: Kpi; asked: Asked; whole: Values | undefined; replies: Answer | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const change = useChange()
  const [hot, onHot] = useState<string>()
  const { by, search } = asked
  const parts = useParts(kpi.id, asked)
  const disputes = useDisputes()
  const values = parts.data && parts.data.by[0] === by ? parts.data : undefined
  const dimension = kpi.dimensions.find((d) => d.name === by)
  const { names, places, drawing, waiting } = useDrawing(dimension?.to ?? '', voice.language)
  const list = useMemo(() => (values ? partsOf(values, by, kpi, asked, search, voice, disputes) : []), [values, by, kpi, asked, search, voice, disputes])
  const mapped = Boolean(drawing && places && list.some((p) => places.has(p.code)))
  const views = (['map', 'bars', 'heat', 'table'] as const).filter((v) => v !== 'map' || mapped)
  const view = views.find((v) => v === search.view) ?? views[0]!
  const grain = coarse(whole ?? { from: null, to: null }, asked.grains)
  const heat = useValues(kpi.id, { ...asked.scope, by, grain }, view === 'heat' && by !== '')
  const name = dimensionName(kpi, by, voice)
  const average = values?.unit === 'percent' || values?.unit === 'ratio' ? (whole?.cells[0]?.value ?? undefined) : undefined
  const heatValues = heat.data && heat.data.by[0] === by ? heat.data : undefined
  const rows = useMemo(() => (heatValues ? heatRows(heatValues, by, list) : undefined), [heatValues, by, list])
  if (values && !waiting && list.length === 0) {
    return <section aria-labelledby="where" className="card"><h2 id="where">{words.breakdown}</h2><p className="empty">{said.lineSaysNone}</p></section>
  }
  const absent = kpi.dimensions.filter((d) => !asked.offered.includes(d))
  const why = asked.alone && absent.length > 0 && <p className="caption">{fill(said.notPublished, { list: absent.map((d) => dimensionName(kpi, d.name, voice)).join(', ') })}</p>
  if (by === '') {
    return <section aria-labelledby="where" className="card"><h2 id="where">{words.breakdown}</h2><p>{words.noDimension}</p>{why}</section>
  }
  const title = values ? [scopedTitle(values, voice), whole?.cells[0] && period(whole.cells[0].period, voice.language), name].filter(Boolean).join(' · ') : name
  const draw = async () => {
    const c = palette('light')
    if (view === 'heat' && rows) return drawHeat(rows.rows, rows.periods, values!.unit, voice.language, c)
    const bars = drawBars(list, ({ cell, disputed }) => cellText(cell, values!.unit, voice.language, voice.labels) + (disputed ? `  ■ ${words.disputed}` : ''), (n, all) => fill(chartWords(voice.language).alike, { n, all }), average === undefined ? undefined : { at: average, says: `${words.whole}: ${amount(average, values!.unit, voice.language)}` }, c)
    if (view !== 'map' || !drawing || !places) return bars
    const map = drawMap(drawing, places, list, values!.unit, voice.language, c)
    return { svg: `${map.svg}<g transform="translate(0 ${map.height + 30})">${bars.svg}</g>`, height: map.height + 30 + bars.height }
  }
  return (
    <section aria-labelledby="where" className="card">
      <div className="section-head">
        <h2 id="where">{words.breakdown}</h2>
        <Choose label={words.by} value={by} options={asked.offered.map((d) => [d.name, dimensionName(kpi, d.name, voice)])} onChange={(v) => change({ by: v })} />
        <span className={style.views} role="group" aria-label={said.view}>
          {views.map((v) => <button key={v} type="button" aria-pressed={v === view} onClick={() => change({ view: v === views[0] ? undefined : v })}>{said.views[v]}</button>)}
        </span>
        {values && (
          <Take name={`${kpi.id}-${by}`} around={{ title, sentence: partsSay(values, by, voice), source: sourceOf(kpi, values, voice, { ...search, by, view: view === views[0] ? undefined : view }, whole && besideIn(whole, replies, voice)) }} draw={draw}
            data={{ path: valuesPath(kpi.id), question: { ...asked.scope, by, compare: asked.compare, grain: view === 'heat' ? grain : undefined } }} />
        )}
      </div>
      {values && !waiting && <NotOffered part="view" value={search.view} options={views.map((v) => [v, said.views[v]])} />}
      {parts.isError ? <Failure error={parts.error} again={() => void parts.refetch()} /> : !values || waiting ? <Skeleton rows={8} kind="row" /> : (
        <>
          <p className="says">{partsSay(values, by, voice)}</p>
          {view === 'map' && drawing && places && (
            <div className={style.linked}>
              <RegionMap drawing={drawing} places={places} parts={list} names={names} unit={values.unit} label={title} hot={hot} onHot={onHot} />
              <Bars parts={list} unit={values.unit} dimension={name} label={title} average={average} hot={hot} onHot={onHot} />
            </div>
          )}
          {view === 'bars' && <Bars parts={list} unit={values.unit} dimension={name} label={title} average={average} hot={hot} onHot={onHot} />}
          {view === 'heat' && (heat.isError ? <Failure error={heat.error} again={() => void heat.refetch()} /> : !rows ? <Skeleton rows={8} kind="row" /> : (
            <Heat rows={rows.rows} periods={rows.periods} unit={values.unit} dimension={name} label={fill(said.heatSays, { dimension: title })} all={list.length} />
          ))}
          {view === 'table' && <PartsTable parts={list} unit={values.unit} name={name} caption={title} />}
          <Caption kpi={kpi} values={values} />
          {why}
        </>
      )}
    </section>
  )
})

function heatRows(values: Values, by: string, list: Part[]): { rows: HeatRow[]; periods: string[] } {
  const periods = [...new Set(values.cells.map((c) => c.period))].sort()
  const at = new Map(values.cells.map((c) => [`${dimensionValue(c, by)}\n${c.period}`, c]))
  return { periods, rows: list.slice(0, most).map(({ code, name, search }) => ({ code, name, search, cells: periods.map((p) => at.get(`${code}\n${p}`)) })) }
}

function PartsTable({ parts, unit, name, caption }: { parts: Part[]; unit: string; name: string; caption: string }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const { language } = useVoice()
  const ratio = parts.some((p) => p.cell.denominator !== null)
  const compared = parts.some((p) => p.cell.comparison?.difference != null)
  const count = (v: number | null) => (v === null ? '' : number(v, language))
  return (
    <DataTable caption={caption} rows={parts} keyOf={(p) => p.code} most={most} more={(n) => fill(said.more, { n })} sort={{ key: 'value', down: true }}
      columns={[
        { key: 'name', title: name, cell: (p) => p.name, order: (p) => p.name, wide: true },
        { key: 'value', title: words.value, number: true, cell: (p) => <><Figure cell={p.cell} unit={unit} />{p.disputed && <span className="status off_course disputed"><span aria-hidden="true">■</span> {words.disputed}</span>}</>, order: (p) => (measured(p.cell) ? p.cell.value : null) },
        ...(ratio ? [{ key: 'parts', title: words.parts, number: true, minor: true, cell: (p: Part) => (p.cell.numerator === null ? '' : `${count(p.cell.numerator)} / ${count(p.cell.denominator)}`), order: (p: Part) => p.cell.denominator }] : []),
        ...(compared ? [{ key: 'difference', title: inPoints(words.difference, unit, language), number: true, cell: (p: Part) => (p.cell.comparison?.difference == null ? '' : signed(p.cell.comparison.difference, unit, language)), order: (p: Part) => p.cell.comparison?.difference }] : []),
        { key: 'cases', title: words.cases, number: true, minor: true, cell: (p) => count(p.cell.cases), order: (p) => p.cell.cases },
      ]} />
  )
}
