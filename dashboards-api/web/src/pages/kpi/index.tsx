import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { address, ApiError, get, type Kpi, type Values, valuesPath } from '../../api/client'
import { boundText, changeText, coverageText, dimensionName, finding, partName, sentence } from '../../finding'
import { cellText, day, dayOfMoment, isoDayOfMoment, number, period, signed } from '../../format'
import { Bars } from '../../parts/Bars'
import { Figure } from '../../parts/Figures'
import { Choose, PeriodFilter, useChange } from '../../parts/Filters'
import { Failure, SimulatedNotice, Skeleton } from '../../parts/States'
import { stepFor } from '../../period'
import { filters, withoutFilter } from '../../search'
import { useVoice } from '../../voice'
import { dictionaries, fill, languages, nameIn, shortNames, useWords } from '../../words'
import { NotFound } from '../../frame'

// The chart's library is large and comes when a chart is shown.
const Line = lazy(() => import('../../parts/Line'))

function useValues(id: string, question: Parameters<typeof address>[1], enabled = true) {
  return useQuery({
    queryKey: ['values', id, question],
    queryFn: ({ signal }) => get<Values>(address(valuesPath(id), question), signal),
    placeholderData: keepPreviousData,
    enabled,
  })
}

export default function KpiPage() {
  const { id } = useParams({ from: '/kpis/$id' })
  const definition = useQuery({ queryKey: ['kpi', id], queryFn: ({ signal }) => get<Kpi>(`/v1/kpis/${encodeURIComponent(id)}`, signal) })
  if (definition.error instanceof ApiError && definition.error.status === 404) return <NotFound />
  if (definition.isError) return <Failure error={definition.error} again={() => void definition.refetch()} />
  if (!definition.data) return <div className="page"><Skeleton rows={1} kind="row" /><Skeleton rows={1} kind="chart" /></div>
  return <Page key={id} kpi={definition.data} />
}

function Page({ kpi }: { kpi: Kpi }) {
  const words = useWords()
  const voice = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const { from, to, where } = search
  const version = kpi.versions[kpi.versions.length - 1]
  const reported = version?.basis === 'reported'
  const by = kpi.dimensions.find((d) => d.name === search.by)?.name ?? kpi.dimensions.find((d) => d.name === 'region')?.name ?? kpi.dimensions[0]?.name ?? ''
  const grain = search.grain ?? (reported ? 'window' : version?.grains[0] ?? stepFor({ from, to }))
  const compare = search.compare
  const whole = useValues(kpi.id, { from, to, where, compare })
  const series = useValues(kpi.id, { from, to, where, grain, compare })
  const parts = useValues(kpi.id, { from, to, where, by, compare }, by !== '')
  const data = whole.data
  const title = data ? finding(data, parts.data && !parts.isPlaceholderData ? parts.data : undefined, by, voice) : nameIn(kpi.title, voice.language, kpi.id)
  useEffect(() => {
    document.title = `${nameIn(kpi.title, voice.language, kpi.id)} · Ombor`
  }, [kpi, voice])
  const refreshing = [whole, series, parts].some((q) => q.isPlaceholderData)
  const grains = reported ? ['window'] : version?.grains.length ? version.grains : ['day', 'week', 'month', 'quarter', 'year']
  return (
    <div className={refreshing ? 'page refreshing' : 'page'} aria-busy={refreshing}>
      <nav className="crumbs"><Link to="/" search={({ lang, from, to }) => ({ lang, from, to })}>{words.scorecard}</Link></nav>
      <h1>{title}</h1>
      <div className="filters">
        <PeriodFilter from={from} to={to} through={data?.data_through ? isoDayOfMoment(data.data_through, voice.zone) : new Date().toISOString().slice(0, 10)} open={reported ? words.latest : words.everything} />
        <Choose label={words.compare} value={compare ?? ''} options={[['', words.compareNone], ['previous', words.comparePrevious], ['year', words.compareYear]]} onChange={(v) => change({ compare: v || undefined })} />
        <Chips kpi={kpi} values={parts.data ?? data} />
      </div>
      {data?.simulated && <SimulatedNotice />}
      {whole.isPending && <Skeleton rows={1} kind="row" />}
      {whole.isError && <Failure error={whole.error} again={() => void whole.refetch()} />}
      {data && !whole.isError && <Head kpi={kpi} whole={data} />}
      {!whole.isError && <section aria-labelledby="over-time" className="card">
        <div className="section-head">
          <h2 id="over-time">{words.overTime}</h2>
          <Choose label={words.grain} value={grain} options={grains.map((g) => [g, words.grains[g as keyof typeof words.grains] ?? g])} onChange={(v) => change({ grain: v })} />
          <button type="button" aria-pressed={search.show === 'table'} onClick={() => change({ show: search.show === 'table' ? undefined : 'table' })}>{words.table}</button>
        </div>
        {series.isError ? <Failure error={series.error} again={() => void series.refetch()} /> : !series.data ? <Skeleton rows={1} kind="chart" /> : (
          <>
            {search.show === 'table' ? <SeriesTable values={series.data} /> : (
              <Suspense fallback={<Skeleton rows={1} kind="chart" />}><Line values={series.data} targets={kpi.targets} /></Suspense>
            )}
            <Caption values={series.data} />
          </>
        )}
      </section>}
      {!whole.isError && <section aria-labelledby="where" className="card">
        <div className="section-head">
          <h2 id="where">{words.breakdown}</h2>
          {kpi.dimensions.length > 0 && (
            <Choose label={words.by} value={by} options={kpi.dimensions.map((d) => [d.name, dimensionName(kpi, d.name, voice)])} onChange={(v) => change({ by: v })} />
          )}
        </div>
        {by === '' ? <p>{words.noDimension}</p> : parts.isError ? <Failure error={parts.error} again={() => void parts.refetch()} /> : !parts.data ? <Skeleton rows={8} kind="row" /> : (
          <>
            <Bars values={parts.data} by={parts.data.by[0] ?? by} kpi={kpi} whole={data} />
            <Caption values={parts.data} />
          </>
        )}
      </section>}
      <DefinitionCard kpi={kpi} values={data} />
    </div>
  )
}

// Chips are the filters that hold; each can be taken away.
function Chips({ kpi, values }: { kpi: Kpi; values: Values | undefined }) {
  const words = useWords()
  const voice = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const list = filters(search)
  if (!list.length) return null
  return (
    <ul className="chips">
      {list.map((f) => {
        const dimension = dimensionName(kpi, f.name, voice)
        const name = `${dimension}: ${values ? partName(values, f.name, f.value, voice) : f.value}`
        return (
          <li key={f.text}>
            <button type="button" aria-label={fill(words.removeFilter, { name })} onClick={() => change({ where: withoutFilter(search, f.text) })}>
              {name} <span aria-hidden="true">×</span>
            </button>
          </li>
        )
      })}
    </ul>
  )
}

function Head({ kpi, whole }: { kpi: Kpi; whole: Values }) {
  const words = useWords()
  const voice = useVoice()
  const cell = whole.cells[0]
  const [copied, setCopied] = useState('')
  const { from, to, where, compare } = useSearch({ from: '__root__' })
  if (!cell) return <p className="empty">{words.emptyTitle}</p>
  const target = kpi.targets.find((t) => t.kind === 'target' && Object.keys(t.where).length === 0)
  const change = changeText(cell, whole.unit, voice)
  const copy = (language: string) => {
    const text = language === voice.language ? sentence(whole, kpi.targets, voice) : sentence(whole, kpi.targets, { ...voice, language })
    void navigator.clipboard.writeText(text).then(() => setCopied(language))
  }
  const file = (format: string) => address(valuesPath(kpi.id), { from, to, where, compare, grain: 'month', format })
  return (
    <section className="card head-card">
      <div className="value">
        <p className="huge"><Figure cell={cell} unit={whole.unit} /></p>
        <p className="meta">
          {period(cell.period, voice.language)}
          {cell.numerator !== null && cell.denominator !== null && <> · {fill(words.of, { numerator: number(cell.numerator, voice.language), denominator: number(cell.denominator, voice.language) })}</>}
          {change && <> · {change}</>}
        </p>
        {cell.quantiles?.map((q) => (
          <p key={q.q} className="meta">{q.q === 0.5 ? words.median : fill(words.quantile, { n: number(q.q * 100, voice.language) })}: {cellText({ ...cell, value: q.value }, whole.unit, voice.language, voice.labels)}</p>
        ))}
        <p className="meta">{target ? `${words.target}: ${boundText(target, whole.unit, voice)} · ${target.act}` : words.noTarget}</p>
      </div>
      <div className="say">
        <p className="sentence">{sentence(whole, kpi.targets, voice)}</p>
        <div className="actions">
          <span className="group" role="group" aria-label={words.copySentence}>
            <span className="label">{words.copySentence}</span>
            {languages.map((l) => <button key={l} type="button" lang={l} title={dictionaries[l]!.language} onClick={() => copy(l)}>{copied === l ? `✓ ${shortNames[l]}` : shortNames[l]}</button>)}
          </span>
          <span className="group" role="group" aria-label={words.export}>
            <span className="label">{words.export}</span>
            {['csv', 'xlsx', 'json'].map((f) => <a key={f} className="button" href={file(f)} download={f === 'json' ? `${kpi.id}.json` : undefined}>{f.toUpperCase()}</a>)}
          </span>
          <button type="button" onClick={() => print()}>{words.print}</button>
        </div>
        <span className="spoken" role="status">{copied && words.copied}</span>
      </div>
    </section>
  )
}

function Caption({ values }: { values: Values }) {
  const words = useWords()
  const voice = useVoice()
  const coverage = coverageText(values.coverage, voice)
  return (
    <p className="caption">
      {values.definition.source && <>{words.source}: {values.definition.source} · </>}
      {values.data_through ? fill(words.through, { day: dayOfMoment(values.data_through, voice.zone, voice.language) }) : words.noData}
      {coverage && <> · {coverage}</>}
      {values.simulated && <> · {words.simulatedShort}</>}
      {values.by.length > 0 && values.cells.some((c) => c.open) && <> · {words.openLong}</>}
    </p>
  )
}

function SeriesTable({ values }: { values: Values }) {
  const words = useWords()
  const { language } = useVoice()
  const compared = values.cells.some((c) => c.comparison)
  return (
    <div className="scroll" tabIndex={0} role="group" aria-labelledby="over-time">
      <table className="plain">
        <thead>
          <tr>
            <th scope="col">{words.period}</th><th scope="col" className="number">{words.value}</th><th scope="col" className="number">{words.parts}</th>
            {compared && <th scope="col" className="number">{words.difference}</th>}<th scope="col" className="number">{words.cases}</th>
          </tr>
        </thead>
        <tbody>
          {values.cells.map((c) => (
            <tr key={c.period}>
              <th scope="row">{period(c.period, language)}</th>
              <td className="number"><Figure cell={c} unit={values.unit} /></td>
              <td className="number">{c.numerator === null ? '' : number(c.numerator, language)}{c.denominator !== null && ` / ${number(c.denominator, language)}`}</td>
              {compared && <td className="number">{c.comparison?.difference == null ? '' : signed(c.comparison.difference, values.unit, language)}</td>}
              <td className="number">{c.cases === null ? '' : number(c.cases, language)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function DefinitionCard({ kpi, values }: { kpi: Kpi; values: Values | undefined }) {
  const words = useWords()
  const voice = useVoice()
  const version = kpi.versions.find((v) => v.version === values?.version && v.variant === (values.variant ?? '')) ?? kpi.versions[kpi.versions.length - 1]
  const rows: [string, string][] = []
  if (version) {
    const formula = version.numerator ? (version.denominator ? `${version.numerator}  ÷  ${version.denominator}` : version.numerator) : version.of
    rows.push([words.formula, formula], [words.basis, `${words.bases[version.basis as keyof typeof words.bases] ?? version.basis}: ${version.from.join(', ')}`])
    rows.push([words.version, [String(version.version), version.variant].filter(Boolean).join(' · ')])
    if (version.valid.from) rows.push([words.validity, fill(words.since, { day: day(version.valid.from, voice.language) })])
    rows.push([words.source, version.source])
  }
  rows.push([words.owner, nameIn(kpi.owner_names, voice.language, kpi.owner)])
  return (
    <section aria-labelledby="definition" className="card">
      <h2 id="definition">{words.definition}</h2>
      <p>{nameIn(kpi.about, voice.language)}</p>
      {values && !values.definition.exact && <p>{fill(words.approximate, { error: `±${values.definition.error ?? 1}` })}</p>}
      {voice.language === 'en' && values?.notes?.map((note) => <p key={note}>{note}</p>)}
      <dl className="definition">
        {rows.filter(([, text]) => text).map(([name, text]) => (
          <div key={name}><dt>{name}</dt><dd>{name === words.formula ? <code>{text}</code> : text}</dd></div>
        ))}
      </dl>
      {kpi.targets.length > 0 && (
        <>
          <h3>{words.published}</h3>
          <ul className="published">
            {kpi.targets.map((t, i) => (
              <li key={i}>
                <b>{words.kinds[t.kind]}: {boundText(t, kpi.unit, voice)}</b> <q>{t.wording}</q>{' '}
                <cite>{t.url ? <a href={t.url} rel="noreferrer">{t.act}</a> : t.act}</cite>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}
