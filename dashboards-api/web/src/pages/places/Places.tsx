import { useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { Fragment, type ReactNode, useDeferredValue, useMemo, useState } from 'react'
import { address, type Table, type Values } from '../../api/client'
import { useScope } from '../../api/me'
import { Bars, type Part } from '../../charts/Bars'
import { fetchDrawing, mapOf } from '../../charts/drawing'
import { RegionMap } from '../../charts/RegionMap'
import { coverageText } from '../../finding'
import { amount, dayOfMoment, dimensionValue, isoDayOfMoment, number, period } from '../../format'
import { disputeOf, type Replies, useDisputes } from '../../parts/Disputed'
import { Choose, PeriodFilter, useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Empty, Failure, NotOffered, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { dimensionOf, measured, telling, useCard, useKpis, useParts, useTable } from './data'
import { finder } from './fold'
import { Exports, SearchField } from './parts'
import { words } from './words'
import './places.css'

interface Props {
  table: 'organisations' | 'regions'
  title: string
  count: string // "{n} regions"
  home: '/agencies' | '/regions'
  list: (rows: Table['rows'], figure: (code: string) => ReactNode, title: string) => ReactNode
}

// Places ranks the rows of a table by one figure, beside the nation, and lists them all; on a
// map where the pack says which.
export function Places({ table: name, title, count, home, list }: Props) {
  const said = useWordsOf(words)
  const all = useWords()
  const voice = useVoice()
  const { language } = voice
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const table = useTable(name)
  const kpis = useKpis()
  const card = useCard({ from: search.from, to: search.to })
  const by = kpis.data && dimensionOf(kpis.data.kpis, name)
  const scope = useScope()
  const choice = useMemo(() => (kpis.data && by ? telling(kpis.data.kpis, by, scope?.dimension) : []), [kpis.data, by, scope?.dimension])
  const kpi = choice.find((k) => k.id === search.view) ?? choice[0]
  const days = { from: card.data?.from ?? undefined, to: card.data?.to ?? undefined }
  const parts = useParts(kpi?.id, by, days, card.data !== undefined)
  const sought = useDeferredValue(search.q ?? '')
  const rows = useMemo(() => {
    const found = finder(sought)
    return (table.data?.rows ?? []).filter((row) => found(row.code, ...Object.values(row.names)))
      .sort((a, b) => nameIn(a.names, language, a.code).localeCompare(nameIn(b.names, language, b.code), language))
  }, [table.data, sought, language])
  const shown = !card.data ? '' : days.from || days.to ? period(`${days.from ?? ''}/${days.to ?? ''}`, language) : all.latest
  const through = card.data?.data_through ? isoDayOfMoment(card.data.data_through, voice.zone) : new Date().toISOString().slice(0, 10)
  const kpiTitle = kpi ? nameIn(kpi.title, language, kpi.id) : ''
  const values = parts.data
  const disputes = useDisputes()
  const figures = new Map((values?.cells ?? []).map((cell) => [dimensionValue(cell, by ?? ''), cell]))
  const ranked = useMemo(() => rankedParts(values, by, rows, language, disputes), [values, by, rows, language, disputes])
  // A reader who sees one agency's rows meets that agency here, and of regions what it has there.
  const mine = scope?.dimension === by ? scope?.value : undefined
  const average = kpi?.unit === 'percent' && (!scope || mine !== undefined) ? values?.cells.find((c) => c.comparison)?.comparison?.value ?? undefined : undefined
  const counted = fill(count, { n: number(table.data?.rows.length ?? 0, language) })
  const codes = new Set(table.data?.rows.map((row) => row.code))
  const held = (values?.cells ?? []).filter((cell) => measured(cell) && cell.comparison?.difference != null && codes.has(dimensionValue(cell, by ?? '')))
  const own = held.find((cell) => mine !== undefined && dimensionValue(cell, by ?? '') === mine)
  const finding = own ? fill(said.ownAgainst, {
    title: kpiTitle, name: nameIn(table.data?.rows.find((row) => row.code === mine)?.names, language, mine), value: amount(own.value!, kpi!.unit, language, voice.labels), nation: amount(own.comparison!.value!, kpi!.unit, language, voice.labels),
  }) : average === undefined || held.length < 2 ? '' : fill(said.above[name], {
    title: kpiTitle, value: amount(average, 'percent', language, voice.labels), n: number(held.filter((cell) => cell.comparison!.difference! >= 0.05).length, language), all: number(held.length, language),
  })
  return (
    <Page title={finding || counted} tab={title} summary={finding ? counted : undefined} query={table} simulated={values?.simulated}
      filters={<PeriodFilter from={search.from} to={search.to} through={through} open={search.from || search.to ? all.latest : shown || all.latest} />}
      actions={<Exports path={kpi && by ? address(`/v1/kpis/${kpi.id}/values`, { ...days, by, compare: 'national' }) : `/v1/${name}`} />}>
      <div className="filters place-filters">
        <SearchField label={said.searchPlace} value={search.q ?? ''} onChange={(q) => change({ q: q || undefined })} />
        {choice.length > 0 && <Choose label={said.rankedBy} value={kpi!.id} options={choice.map((k) => [k.id, nameIn(k.title, language, k.id)])} onChange={(view) => change({ view })} />}
      </div>
      {kpis.data && <NotOffered part="view" value={search.view} options={choice.map((k) => [k.id, nameIn(k.title, language, k.id)])} />}
      {kpis.data && !kpi && <p className="meta">{said.notFigured}</p>}
      {kpi && (
        <section className={parts.isPlaceholderData ? 'card refreshing' : 'card'} aria-labelledby="ranked">
          <h2 id="ranked">{[kpiTitle, shown].filter(Boolean).join(', ')}</h2>
          {parts.isError ? <Failure error={parts.error} again={() => void parts.refetch()} /> : !values ? <Skeleton rows={1} kind="chart" /> : (
            <>
              <Ranking table={table.data} rows={rows} parts={ranked} seen={mine} unit={values.unit} label={`${kpiTitle}, ${shown}`} average={average} home={home} />
              <p className="caption">
                {values.data_through ? fill(all.through, { day: dayOfMoment(values.data_through, voice.zone, language) }) : all.noData}
                {values.coverage && coverageText(values.coverage, voice) && <> · {coverageText(values.coverage, voice)}</>}
                {values.simulated && <> · {all.simulatedShort}</>}
                {values.cells.some((c) => c.open) && <> · {all.openLong}</>}
                {' · '}<Link to="/kpis/$id" params={{ id: kpi.id }} search={({ lang }) => ({ lang, ...days, by })}>{kpiTitle}</Link>
              </p>
            </>
          )}
        </section>
      )}
      {rows.length === 0 ? <Empty title={said.none}><p>{said.noneHint}</p></Empty> : (
        <section className="card" aria-label={title}>
          {list(rows, (code) => {
            const cell = figures.get(code)
            return cell && measured(cell) ? cell.value : null
          }, title)}
        </section>
      )}
    </Page>
  )
}

function rankedParts(values: Values | undefined, by: string | undefined, rows: Table['rows'], language: string, disputes: Replies | undefined): Part[] {
  if (!values || !by) return []
  const names = new Map(rows.map((row) => [row.code, row.names]))
  const rank = (v: number | null) => (v === null ? -Infinity : v)
  return values.cells
    .filter((cell) => names.has(dimensionValue(cell, by)))
    .sort((a, b) => rank(b.value) - rank(a.value))
    .map((cell) => ({ code: dimensionValue(cell, by), name: nameIn(names.get(dimensionValue(cell, by)), language), cell: { ...cell, open: false, comparison: cell.comparison }, search: undefined, disputed: disputeOf(disputes, values.kpi, cell, [`${by}=${dimensionValue(cell, by)}`]) !== undefined }) as Part)
}

function Ranking({ table, rows, parts, seen, unit, label, average, home }: { table: Table | undefined; rows: Table['rows']; parts: Part[]; seen: string | undefined; unit: string; label: string; average: number | undefined; home: '/agencies' | '/regions' }) {
  const search = useSearch({ from: '__root__' })
  const [hot, setHot] = useState<string>()
  const map = table && mapOf(table)
  const drawing = useQuery({ queryKey: ['drawing', map?.name], queryFn: () => fetchDrawing(map!.name), enabled: map !== undefined, staleTime: Infinity })
  const said = useWordsOf(words)
  const { language } = useVoice()
  const names = useMemo(() => new Map(table?.rows.map((row) => [row.code, nameIn(row.names, language, row.code)])), [table, language])
  const leading = parts.map((p) => ({ ...p, to: `${home}/${encodeURIComponent(p.code)}`, search: { lang: search.lang } }))
  // What has no cases is named below the bars: it is no zero, and not forgotten either. What the reader
  // may not see is absent.
  const drawn = leading.filter((p) => p.cell.state !== 'not_applicable')
  const without = rows.filter((row) => (seen === undefined || row.code === seen) && !drawn.some((p) => p.code === row.code))
  return (
    <div className="ranking">
      {map && drawing.data && <RegionMap drawing={drawing.data} places={map.places} parts={leading} names={names} unit={unit} label={label} hot={hot} onHot={setHot} />}
      <div>
        <Bars parts={drawn} unit={unit} dimension={table?.table === 'regions' ? said.region : said.agency} label={label} average={average} hot={hot} onHot={setHot} />
        {without.length > 0 && (
          <p className="caption without">
            {said.withoutFigure}{' '}
            {without.map((row, i) => <Fragment key={row.code}>{i > 0 && ', '}<Link to={`${home}/$id`} params={{ id: row.code }} search={({ lang }) => ({ lang })}>{nameIn(row.names, language, row.code)}</Link></Fragment>)}
          </p>
        )}
      </div>
    </div>
  )
}
