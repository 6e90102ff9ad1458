import { Link, useParams, useSearch } from '@tanstack/react-router'
import { memo, useDeferredValue, useEffect, useMemo, useRef } from 'react'
import { ApiError, type Kpi } from '../../api/client'
import { useMay, useOutside, useScope } from '../../api/me'
import { dimensionName, partName } from '../../finding'
import { day, isoDayOfMoment, isOver, period } from '../../format'
import { measured } from '../../charts/states'
import { Choose, Filters, PeriodFilter, useChange } from '../../parts/Filters'
import { Later } from '../../parts/Later'
import { Page } from '../../parts/Page'
import { Failure, NotOffered, Skeleton } from '../../parts/States'
import { filters, type Search, withoutFilter } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import type { Values } from '../../api/client'
import { GapList } from './GapList'
import { Head } from './Head'
import { NoKpi } from './NoKpi'
import { OverTime, useLineFiles } from './OverTime'
import { additive, askedOf, counted, type Gap, useAbout, useKpi, useParts, useSeries, useValues } from './question'
import { headline } from './says'
import { useReplies } from './Replies'
import style from './style.module.css'
import { Trust } from './Trust'
import { Where } from './Where'
import { Why } from './Why'
import { words as allWords } from './words'

// The page of a KPI answers a click at once and draws what follows from it in pieces: until that
// is done it shows, marked as busy, what it showed before.
export default function KpiPage() {
  const { id: wanted } = useParams({ from: '/kpis/$id' })
  const asked = useSearch({ from: '__root__' })
  const now = useMemo(() => ({ id: wanted, search: asked }), [wanted, asked])
  const shown = useDeferredValue(now)
  const { id, search } = shown
  const definition = useKpi(id)
  if (definition.error instanceof ApiError && definition.error.status === 404) return <NoKpi id={id} />
  if (definition.isError) return <Failure error={definition.error} again={() => void definition.refetch()} />
  if (!definition.data) return <div className="page"><Skeleton rows={1} kind="row" /><Skeleton rows={1} kind="chart" /></div>
  return <div aria-busy={shown !== now}><KpiOf key={id} kpi={definition.data} search={search} /></div>
}

const KpiOf = memo(function KpiOf({ kpi: declared, search }: { kpi: Kpi; search: Search }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const change = useChange()
  const may = useMay()
  const outside = useOutside()
  const narrowed = useScope() !== undefined
  const asked = useMemo(() => askedOf(declared, search, outside), [declared, search, outside])
  const kpi = useMemo(() => ({ ...declared, dimensions: asked.version.dimensions }), [declared, asked.version]) // those of the definition that is shown
  const { scope, by, compare } = asked
  const whole = useValues(kpi.id, { ...scope, compare, lang: voice.language })
  const series = useSeries(kpi.id, asked)
  const parts = useParts(kpi.id, asked)
  const data = whole.data
  const told = data !== undefined && data.audience === 'inside' // of what is told by published tables alone there are no rows
  // Who sees an agency's rows alone is told the total of a figure that does not say whose its rows
  // are, and the server refuses to break it down.
  const total = narrowed && !scope.where && parts.error instanceof ApiError && parts.error.field === 'where'
  const apart = !narrowed || parts.isSuccess
  const reported = asked.version.basis === 'reported'
  const gap = useAbout<Gap>(kpi.id, 'gap', { from: data?.from ?? undefined, to: data?.to ?? undefined, where: scope.where, variant: scope.variant, known_on: scope.known_on }, told && apart && counted(asked.version) && may('GET /v1/kpis/{id}/gap'))
  const replies = useReplies(kpi, data).data
  const name = nameIn(kpi.title, voice.language, kpi.id)
  const title = data ? headline(kpi, data, parts.data && !parts.isPlaceholderData ? parts.data : undefined, by, voice) : name
  const files = useLineFiles(kpi, asked, series.data, data, replies)
  const through = data?.data_through ? isoDayOfMoment(data.data_through, voice.zone) : new Date().toISOString().slice(0, 10)
  // Where nothing is known at all, neither places nor reasons are asked for.
  const bare = data !== undefined && series.data !== undefined && !parts.isPending && ![...data.cells, ...series.data.cells, ...(parts.data?.cells ?? [])].some(measured)
  const refreshing = [whole, series, parts].some((q) => q.isPlaceholderData)
  const compares: [string, string][] = [['none', words.compareNone], ['previous', words.comparePrevious], ['year', words.compareYear], ...(search.where ? [['national', said.compareNational] as [string, string]] : [])]
  return (
    <Page title={title} tab={name} query={{ ...whole, isPlaceholderData: refreshing }} waiting={<><Skeleton rows={1} kind="row" /><Skeleton rows={1} kind="chart" /></>}
      simulated={data?.simulated} crumbs={<Link to="/" search={({ lang, from, to }) => ({ lang, from, to })}>{words.scorecard}</Link>}
      filters={
        <Filters shown={search.from && search.to ? period(`${search.from}/${search.to}`, voice.language) : reported ? words.latest : words.everything}>
          <PeriodFilter from={search.from} to={search.to} through={through} open={reported ? words.latest : words.everything} />
          <Choose label={words.compare} value={compare ?? 'none'} options={compares} onChange={(v) => change({ compare: v })} />
        </Filters>
      }>
      {search.known_on && (
        <p className="notice">{fill(said.knownOn, { day: day(search.known_on, voice.language) })}{!isOver(search.known_on, voice.zone) && ` ${words.dayNotOver}`} <Link to="." search={(old: Search) => ({ ...old, known_on: undefined })} resetScroll={false}>{said.knownNow}</Link></p>
      )}
      <NotOffered part="by" value={kpi.dimensions.some((d) => d.name === search.by) ? undefined : search.by} options={asked.offered.map((d) => [d.name, dimensionName(kpi, d.name, voice)])} />
      <NotOffered part="grain" value={search.grain} options={asked.grains.map((g) => [g, said.grains[g as keyof typeof said.grains] ?? g])} />
      <NotOffered part="compare" value={search.compare === 'national' ? undefined : search.compare} options={compares} />
      <NotOffered part="variant" value={search.variant} options={kpi.versions.filter((v) => v.variant).map((v) => [v.variant, voice.labels[`variant.${v.variant}`] ?? v.variant])} />
      <NotOffered part="version" value={search.version} options={kpi.versions.filter((v) => v.variant === asked.version.variant).map((v) => [String(v.version), fill(said.variantDefault, { version: v.version })])} />
      <Path kpi={kpi} search={search} values={parts.data ?? data} />
      {data && <Head kpi={kpi} asked={asked} whole={data} held={gap.data?.target?.kind === 'target' ? gap.data.target : undefined} taking={files} replies={replies} />}
      <OverTime kpi={kpi} asked={asked} taking={files} />
      {!total && !bare && <Later place={<Skeleton rows={10} kind="row" />}><Where kpi={kpi} asked={asked} whole={data} replies={replies} /></Later>}
      {told && apart && !bare && additive(asked.version) && may('GET /v1/kpis/{id}/why') && <Later place={<Skeleton rows={6} kind="row" />}><Why kpi={kpi} asked={asked} whole={data} replies={replies} /></Later>}
      {gap.data && !gap.isError && <GapList kpi={kpi} gap={gap.data} />}
      <Later place={<Skeleton rows={8} kind="row" />}><Trust kpi={kpi} asked={asked} whole={data} replies={replies} /></Later>
    </Page>
  )
})

// Path is how the reader came to the part that is shown: each step leads back to where it
// was, and can be taken away.
function Path({ kpi, search, values }: { kpi: Kpi; search: Search; values: Values | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const list = filters(search)
  // What led to a part is gone with the parts: who goes on by keyboard, or listens, goes on from where they came to.
  const here = useRef<HTMLElement>(null)
  const where = list.map((f) => f.text).join('\n')
  const before = useRef(where)
  useEffect(() => {
    if (before.current === where) return
    before.current = where
    const target = here.current ?? document.getElementById('content')
    target?.focus({ preventScroll: true })
  }, [where])
  if (!list.length) return null
  return (
    <nav aria-label={said.path} className={style.path}>
      <ol className="chips">
        <li><Link to="." search={(old: Search) => ({ ...old, where: undefined, by: list[0]!.name })} resetScroll={false}>{said.all}</Link></li>
        {list.map((f, i) => {
          const name = `${dimensionName(kpi, f.name, voice)}: ${values ? partName(values, f.name, f.value, voice) : f.value}`
          const last = i === list.length - 1
          return (
            <li key={f.text}>
              <span aria-hidden="true" className={style.then}>›</span>
              {last ? <b aria-current="page" ref={here} tabIndex={-1}>{name}</b> : <Link to="." resetScroll={false} search={(old: Search) => ({ ...old, where: list.slice(0, i + 1).map((o) => o.text), by: list[i + 1]!.name })}>{name}</Link>}
              <Link to="." resetScroll={false} className={style.off} aria-label={fill(words.removeFilter, { name })} search={(old: Search) => ({ ...old, where: withoutFilter(old, f.text), by: list.length === 1 ? f.name : old.by })}>×</Link>
            </li>
          )
        })}
      </ol>
    </nav>
  )
}
