import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { address, get } from '../../api/client'
import { boundText } from '../../finding'
import { amount, cellText, number, shortDay } from '../../format'
import { Disputed } from '../../parts/Disputed'
import { Status } from '../../parts/Figures'
import { Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import type { Targets } from './data'
import { words } from './words'

// TargetsMatrix holds every target against the projects that promised to move it: who serves
// what, what nobody serves, and who serves nothing.
export function TargetsMatrix({ on }: { on: string }) {
  const said = useWordsOf(words)
  const all = useWords()
  const voice = useVoice()
  const { language, labels } = voice
  const targets = useQuery({ queryKey: ['targets', { on, lang: language }], queryFn: ({ signal }) => get<Targets>(address('/v1/targets', { on, lang: language } as object), signal), placeholderData: keepPreviousData })
  if (targets.isError) return <Failure error={targets.error} again={() => void targets.refetch()} />
  const data = targets.data
  if (!data) return <Skeleton rows={4} kind="row" />
  const asked = data.targets.filter((t) => t.kind === 'target')
  const rest = data.targets.filter((t) => t.kind !== 'target' && (t.projects?.length ?? 0) > 0)
  return (
    <section className="card" aria-labelledby="matrix">
      <h2 id="matrix">{data.unserved ? fill(said.unserved, { n: data.unserved, all: asked.length }) : said.allServed}</h2>
      <ul className="matrix">
        {[...asked, ...rest].map((t, i) => (
          <li key={i}>
            <div className="matrix-target">
              <Link to="/kpis/$id" params={{ id: t.kpi }} search={({ lang }) => ({ lang })} className="name">{nameIn(t.title, language, t.kpi)}</Link>
              <span className="under">{all.kinds[t.kind]}: {boundText(t, t.unit, voice)} · {nameIn(t.act_names, language, t.act)}</span>
              <span>{t.cell ? cellText(t.cell, t.unit, language, labels) : all.state.not_provided} <Disputed kpi={t.kpi} cell={t.cell} where={Object.entries(t.where).map(([by, code]) => `${by}=${code}`)} />{t.kind === 'target' && <> <Status target={t as never} /></>}</span>
            </div>
            {t.projects && t.projects.length > 0 ? (
              <Servers of={t.projects} unit={t.unit} on={on} />
            ) : <p className="unserved"><span aria-hidden="true">■</span> {said.servedByNone}</p>}
          </li>
        ))}
      </ul>
      {data.serving_none && data.serving_none.length > 0 && (
        <details>
          <summary>{fill(said.servingNone, { n: number(data.serving_none.length, language) })}</summary>
          <ul className="serving-none">{data.serving_none.map((p) => <li key={p.project}><Link to="/projects/$id" params={{ id: p.project }} search={({ lang }) => ({ lang, on })}>{p.name || p.project}</Link></li>)}</ul>
        </details>
      )}
    </section>
  )
}

type Server = NonNullable<Targets['targets'][number]['projects']>[number]

const verdicts = ['missed', 'notMeasured', 'notDue', 'met'] as const

// verdictOf is how a promise stands on a day; what is not due yet is no matter.
const verdictOf = (p: Server, on: string): (typeof verdicts)[number] => (p.met !== null ? (p.met ? 'met' : 'missed') : p.due && p.due > on ? 'notDue' : 'notMeasured')

const signs = { missed: '■', notMeasured: '▲', notDue: '○', met: '●' }
const classes = { missed: 'missed', notMeasured: 'unmeasured', notDue: 'none', met: 'met' }

// Servers sums up the projects that promised to move a target, and names them, those first that
// did not keep it.
function Servers({ of, unit, on }: { of: Server[]; unit: string; on: string }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const [most, setMost] = useState(shownAtFirst)
  const sorted = useMemo(() => [...of].sort((a, b) => verdicts.indexOf(verdictOf(a, on)) - verdicts.indexOf(verdictOf(b, on)) || (a.due ?? '').localeCompare(b.due ?? '')), [of, on])
  const counts = verdicts.map((v) => [v, of.filter((p) => verdictOf(p, on) === v).length] as const).filter(([, n]) => n > 0)
  const next = Math.min(step, of.length - most)
  const promised = (p: Server) => [p.at_least !== null && fill(said.promisedAtLeast, { value: amount(p.at_least, unit, language, labels) }), p.at_most !== null && fill(said.promisedAtMost, { value: amount(p.at_most, unit, language, labels) })].filter(Boolean).join(', ')
  let before = 0
  return (
    <div className="servers">
      <svg className="verdicts" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {counts.map(([v, n]) => <rect key={v} className={`verdict ${classes[v]}`} x={(100 * (before += n) - 100 * n) / of.length} width={(100 * n) / of.length} height="6" />)}
      </svg>
      <p className="verdict-counts">{counts.map(([v, n]) => <span key={v} className={`verdict ${classes[v]}`}><span aria-hidden="true">{signs[v]}</span> {said[v]}: {number(n, language)}</span>)}</p>
      <ul>
        {sorted.slice(0, most).map((p, i) => {
          const verdict = verdictOf(p, on)
          return (
            <li key={i}>
              <Link to="/projects/$id" params={{ id: p.project }} search={({ lang }) => ({ lang, on })} className="name">{p.name || p.project}</Link>
              <span className={`verdict ${classes[verdict]}`}><span aria-hidden="true">{signs[verdict]}</span> {promised(p)}{p.due && <> · {shortDay(p.due, language)}</>}: {said[verdict]}</span>
            </li>
          )
        })}
      </ul>
      {next > 0 && <button type="button" onClick={() => setMost(most + step)}>{fill(said.more, { n: number(next, language) })}</button>}
    </div>
  )
}

const shownAtFirst = 6
const step = 50
