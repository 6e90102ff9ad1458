import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { address, ApiError, get, type Kpi } from '../../api/client'
import { amount, day, number, shortDay } from '../../format'
import { Page } from '../../parts/Page'
import { isDay } from '../../period'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { useKpis, useTable } from '../places/data'
import { DayFilter, NotThere } from '../places/parts'
import { useChange } from '../../parts/Filters'
import { Severity } from './Attention'
import { dayOf, daysBetween, type Detail, foundText, type Happening, money, percentOf, storyOf, useProjects } from './data'
import { MoneyBar, MoneyLegend } from './Agencies'
import { useWhys } from './Duplicates'
import { useCurrency, useStages } from './labels'
import { Plan, Reports } from './Plan'
import { words } from './words'
import '../places/places.css'
import './projects.css'

export function Profile() {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const { id } = useParams({ from: '/projects/$id' })
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const chosen = isDay(search.on) ? search.on : undefined
  const today = useProjects({})
  const on = chosen ?? (today.data ? dayOf(today.data) : undefined)
  const project = useQuery({
    queryKey: ['project', id, on],
    queryFn: ({ signal }) => get<Detail>(address(`/v1/projects/${encodeURIComponent(id)}`, { on } as object), signal),
    placeholderData: keepPreviousData,
    enabled: on !== undefined || today.isError,
  })
  const organisations = useTable('organisations')
  const stages = useStages()
  const d = project.data
  const p = d?.project
  const agency = p && nameIn(organisations.data?.rows.find((r) => r.code === p.agency)?.names, language, p.agency)
  if (project.error instanceof ApiError && project.error.status === 404) return <NotThere code={id} home="/projects" title={said.title} />
  return (
    <Page title={p ? p.name || p.id : id} query={project} simulated={p?.simulated}
      crumbs={<Link to="/projects" search={({ lang, on }) => ({ lang, on })}>{said.title}</Link>}
      summary={p && d && (
        <>
          <Link to="/agencies/$id" params={{ id: p.agency }} search={({ lang }) => ({ lang })}>{agency}</Link>
          {' · '}{p.stage ? stages.name(p.stage) : said.statuses[p.status]}{p.stage_since && ` ${fill(said.since, { day: day(p.stage_since, language) })}`}
          {d.programme_name && ` · ${d.programme_name}`}
          {p.priority && ` · ${labels[`value.priority.${p.priority}`] ?? p.priority}`}
          {p.register_number && ` · ${p.register_number}`}
        </>
      )}
      filters={<DayFilter label={said.on} on={chosen} shown={d?.on} most={today.data?.on ?? ''} onChange={(next) => change({ on: next })} />}>
      {d && p && (
        <>
          <p className="sentence headline">{headline(d, said, language)}</p>
          <div className="project">
            <div className="project-main">
              <Needs d={d} on={d.on} />
              <Plan d={d} />
              <Promises d={d} />
              <Money d={d} />
              <Story d={d} stage={stages.name} />
            </div>
            <div className="project-side">
              <Reports d={d} />
              <Waits d={d} />
              <Risks d={d} />
              <RatingCard d={d} />
              <Alike d={d} />
            </div>
          </div>
        </>
      )}
    </Page>
  )
}

function headline(d: Detail, said: (typeof words)[string], language: string): string {
  const p = d.project
  const spent = percentOf(p.money.spent, p.money.contracted)
  const parts = [
    p.milestones.planned > 0 && fill(said.headline, { reached: p.milestones.reached, planned: p.milestones.planned }),
    p.milestones.days_late !== null && p.milestones.days_late > 0 && fill(said.headlineLate, { n: number(p.milestones.days_late, language, Number.isInteger(p.milestones.days_late) ? 0 : 1) }),
    p.report.on && p.report.percent !== null && fill(said.headlineReport, { percent: p.report.percent, day: day(p.report.on, language) }),
    spent !== null && fill(said.headlineSpent, { percent: number(spent, language) }),
  ].filter((t): t is string => typeof t === 'string')
  const text = parts.join(', ')
  return text && text[0]!.toUpperCase() + text.slice(1) + '.'
}

function Needs({ d, on }: { d: Detail; on: string }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const kpis = useKpis()
  const names = new Map([...d.waits_for, ...d.waited_for_by].map((o) => [o.id, o.name || o.id]))
  return (
    <section className="card" aria-labelledby="needs">
      <h2 id="needs">{said.attention}</h2>
      {d.findings.length === 0 ? <p className="meta">{said.attentionNone}</p> : (
        <ul className="findings">
          {d.findings.map((f, i) => (
            <li key={i}>
              <b><Severity of={f.severity} /> {said.rules[f.rule as keyof typeof said.rules] ?? f.rule}</b>
              <span className="what">{foundText(f, said, voice, kpis.data?.kpis, (id) => names.get(id) ?? id)}</span>
              <span className="age">{f.since && f.since < on && fill(said.daysAgo, { n: number(daysBetween(f.since, on), voice.language) })}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

// Promises hold what was promised beside what was measured for it and beside the figure.
function Promises({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const kpis = useKpis()
  const of = (id: string): Kpi | undefined => kpis.data?.kpis.find((k) => k.id === id)
  const say = (v: number | null, unit: string) => (v === null ? '–' : amount(v, unit, language, labels))
  return (
    <section className="card" aria-labelledby="promises">
      <h2 id="promises">{said.promises}</h2>
      {d.promises.length === 0 ? <p className="meta">{said.noPromises}</p> : (
        <ul className="promises">
          {d.promises.map((q, i) => {
            const kpi = of(q.indicator)
            const verdict = q.met === null ? (q.is_due ? 'unmeasured' : 'open') : q.met ? 'met' : 'missed'
            const text = { unmeasured: said.notMeasured, open: said.notDue, met: said.met, missed: said.missed }[verdict]
            return (
              <li key={i}>
                <div className="promise-head">
                  {kpi ? <Link to="/kpis/$id" params={{ id: q.indicator }} search={({ lang }) => ({ lang })} className="name">{nameIn(kpi.title, language, q.indicator)}</Link> : <span>{q.indicator}</span>}
                  <span className={`verdict ${verdict}`}><span aria-hidden="true">{{ unmeasured: '▲', open: '○', met: '●', missed: '■' }[verdict]}</span> {text}</span>
                </div>
                <dl className="three">
                  <div><dt>{said.promised}</dt><dd className="figure">{[q.at_least !== null && fill(said.promisedAtLeast, { value: say(q.at_least, q.unit) }), q.at_most !== null && fill(said.promisedAtMost, { value: say(q.at_most, q.unit) })].filter(Boolean).join(', ') || '–'}<small>{q.due && day(q.due, language)}</small></dd></div>
                  <div><dt>{said.forIt}</dt><dd className="figure">{q.value === null ? said.notMeasured : say(q.value, q.unit)}<small>{q.measured_on && day(q.measured_on, language)}{q.said_met !== null && ` · ${fill(said.said, { what: q.said_met ? said.met : said.missed })}`}</small></dd></div>
                  <div><dt>{said.kpiNow}</dt><dd className="figure">{say(q.current, q.unit)}<small>{kpi && day(d.on, language)}</small></dd></div>
                </dl>
              </li>
            )
          })}
        </ul>
      )}
    </section>
  )
}

function Money({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const { language } = voice
  const currency = useCurrency()
  const m = d.project.money
  const most = Math.max(m.budgeted ?? 0, m.contracted ?? 0, m.spent ?? 0)
  return (
    <section className="card" aria-labelledby="money">
      <h2 id="money">{said.money}</h2>
      {most === 0 ? <p className="meta">{said.noMoney}</p> : (
        <>
          <MoneyLegend />
          <MoneyBar group={m} most={most} currency={currency} />
          {d.contracts.length > 0 && (
            <div className="scroll" tabIndex={0} role="group" aria-label={said.contract}>
              <table className="plain">
                <thead><tr><th scope="col">{said.contract}</th><th scope="col" className="number">{said.amount}</th><th scope="col" className="number">{said.spent}</th><th scope="col">{said.delivery}</th></tr></thead>
                <tbody>{d.contracts.map((c) => <tr key={c.contract_number}><th scope="row">{c.contract_number}</th><td className="number">{money(c.amount, currency, voice)}</td><td className="number">{money(c.spent, currency, voice)}</td><td>{c.delivery_due && shortDay(c.delivery_due, language)}</td></tr>)}</tbody>
              </table>
            </div>
          )}
          {d.budgets.length > 0 && (
            <div className="scroll" tabIndex={0} role="group" aria-label={said.budgeted}>
              <table className="plain">
                <thead><tr><th scope="col">{said.year}</th><th scope="col">{said.source}</th><th scope="col" className="number">{said.budgeted}</th></tr></thead>
                <tbody>{d.budgets.map((b, i) => <tr key={i}><th scope="row">{b.year ?? said.none}</th><td>{voice.labels[`value.money_source.${b.money_source}`] ?? b.money_source}</td><td className="number">{money(b.amount, currency, voice)}</td></tr>)}</tbody>
              </table>
            </div>
          )}
        </>
      )}
    </section>
  )
}

// Waits draws who waits for whom: what this project waits for, itself, what waits for it.
function Waits({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const one = (o: Detail['waits_for'][number]) => (
    <li key={o.id}>{o.name ? <Link to="/projects/$id" params={{ id: o.id }} search={({ lang, on }) => ({ lang, on })} className="name">{o.name}</Link> : o.id}<span className="under">{o.id} · {o.name ? (said.statuses[o.status as 'active'] ?? o.status) : said.unknownProject}</span></li>
  )
  return (
    <section className="card" aria-labelledby="waits">
      <h2 id="waits">{said.waits}</h2>
      {d.waits_for.length + d.waited_for_by.length === 0 ? <p className="meta">{said.waitsNone}</p> : (
        <div className="chain">
          {d.waits_for.length > 0 && <div><h3>{said.waitsFor}</h3><ul>{d.waits_for.map(one)}</ul></div>}
          {d.waited_for_by.length > 0 && <div><h3>{said.waitedFor}</h3><ul>{d.waited_for_by.map(one)}</ul></div>}
        </div>
      )}
      {d.cycle.length > 0 && <p className="problem"><span aria-hidden="true">■</span> {fill(said.circle, { names: [...d.cycle, d.cycle[0]].join(' → ') })}</p>}
    </section>
  )
}

function Risks({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const grave: Record<string, number> = { high: 3, medium: 2, low: 1 }
  return (
    <section className="card" aria-labelledby="risks">
      <h2 id="risks">{said.risks}</h2>
      {d.risks.length === 0 ? <p className="meta">{said.noRisks}</p> : (
        <ul className="mini-list">
          {d.risks.map((r) => (
            <li key={r.risk}><span><Severity of={r.open ? (grave[r.severity] ?? 1) : 1} /> {r.what || r.risk}<span className="under">{said.severities[r.severity as 'high'] ?? r.severity} · {r.on && day(r.on, language)}</span></span><span>{r.open ? said.open : said.closed}</span></li>
          ))}
        </ul>
      )}
    </section>
  )
}

function RatingCard({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { rating: r, earned_value: e } = d.project
  const points = ([['cost', r.cost], ['schedule', r.schedule], ['expert', r.expert]] as const).filter(([, v]) => v !== null)
  if (points.length === 0 && e.spi === null && e.cpi === null) return null
  return (
    <section className="card" aria-labelledby="rating">
      <h2 id="rating">{r.on ? fill(said.ratingOn, { day: day(r.on, language) }) : said.figures.rating}</h2>
      <p className="rating"><span className="figure">{r.computed === null ? '–' : number(r.computed, language, 1)}</span> {r.computed === null && said.noRating}{r.overridden && said.overridden}</p>
      <dl className="facts">
        {points.map(([k, v]) => <div key={k}><dt>{said.points[k]}</dt><dd><span aria-hidden="true">{'●'.repeat(v!)}{'○'.repeat(Math.max(0, 5 - v!))}</span> {v}</dd></div>)}
        <div><dt>{said.earned}</dt><dd>{e.spi === null && e.cpi === null ? (said.earnedWhy[e.reason as 'no_weights'] ?? e.reason) : [e.spi !== null && fill(said.spi, { value: number(e.spi, language, 2) }), e.cpi !== null && fill(said.cpi, { value: number(e.cpi, language, 2) })].filter(Boolean).join(' · ')}</dd></div>
      </dl>
    </section>
  )
}

function Alike({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const whys = useWhys()
  if (d.duplicates.length === 0) return null
  return (
    <section className="card" aria-labelledby="alike">
      <h2 id="alike">{said.duplicates}</h2>
      <ul className="mini-list">{d.duplicates.map((x) => <li key={x.b.id}><span><Link to="/projects/$id" params={{ id: x.b.id }} search={({ lang, on }) => ({ lang, on })} className="name">{x.b.name || x.b.id}</Link><span className="under">{x.b.id} · {whys(x)}</span></span></li>)}</ul>
    </section>
  )
}

function Story({ d, stage }: { d: Detail; stage: (s: string) => string }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const kpis = useKpis()
  const [reports, showReports] = useState(false)
  const events = said.events
  const say = (h: Happening): string => {
    switch (h.kind) {
      case 'stage': return fill(events.stage, { stage: stage(h.facts.stage ?? '') })
      case 'replanned': return fill(events.replanned, { milestone: h.facts.milestone ?? '', old: h.facts.old ? day(h.facts.old, language) : '…', new: h.facts.new ? day(h.facts.new, language) : '…' })
      case 'reached': return fill(events.reached, { milestone: h.facts.milestone ?? '' })
      case 'report': return h.facts.percent ? fill(events.report, { percent: h.facts.percent }) : events.reportPlain
      case 'risk': return fill(events.risk, { what: h.facts.what ?? '' })
      case 'measured': {
        const q = d.promises.find((one) => one.indicator === h.facts.indicator)
        return fill(events.measured, { indicator: nameIn(kpis.data?.kpis.find((k) => k.id === h.facts.indicator)?.title, language, h.facts.indicator ?? ''), value: q?.value == null ? '' : amount(q.value, q.unit, language, labels) })
      }
      default: return events[h.kind]
    }
  }
  const why = ({ facts: { reason }, note }: Happening) => [reason && (labels[`value.reason.${reason}`] ?? reason), note].filter(Boolean).join('; ')
  const story = storyOf(d).filter((h) => reports || h.kind !== 'report')
  return (
    <section className="card story" aria-labelledby="story">
      <div className="section-head"><h2 id="story">{said.story}</h2><label className="check"><input type="checkbox" checked={reports} onChange={(event) => showReports(event.target.checked)} /> {said.reportsToo}</label></div>
      <ol className="timeline">
        {story.map((h, i) => <li key={i}><time dateTime={h.on}>{day(h.on, language)}</time><div>{say(h)}</div>{why(h) && <small className="under">{why(h)}</small>}</li>)}
      </ol>
    </section>
  )
}

