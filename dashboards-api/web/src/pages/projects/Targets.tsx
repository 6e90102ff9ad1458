import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { address, get } from '../../api/client'
import { boundText } from '../../finding'
import { amount, cellText, number, shortDay } from '../../format'
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
  const promised = (low: number | null, high: number | null, unit: string) => [low !== null && fill(said.promisedAtLeast, { value: amount(low, unit, language, labels) }), high !== null && fill(said.promisedAtMost, { value: amount(high, unit, language, labels) })].filter(Boolean).join(', ')
  return (
    <section className="card" aria-labelledby="matrix">
      <h2 id="matrix">{data.unserved ? fill(said.unserved, { n: data.unserved, all: asked.length }) : said.allServed}</h2>
      <ul className="matrix">
        {[...asked, ...rest].map((t, i) => (
          <li key={i}>
            <div className="matrix-target">
              <Link to="/kpis/$id" params={{ id: t.kpi }} search={({ lang }) => ({ lang })} className="name">{nameIn(t.title, language, t.kpi)}</Link>
              <span className="under">{all.kinds[t.kind]}: {boundText(t, t.unit, voice)} · {t.act}</span>
              <span>{t.cell ? cellText(t.cell, t.unit, language, labels) : all.state.not_provided}{t.kind === 'target' && <> <Status target={t as never} /></>}</span>
            </div>
            {t.projects && t.projects.length > 0 ? (
              <ul className="servers">
                {t.projects.map((p, j) => (
                  <li key={j}>
                    <Link to="/projects/$id" params={{ id: p.project }} search={({ lang }) => ({ lang, on })} className="name">{p.name || p.project}</Link>
                    <span className={`verdict ${p.met === null ? 'none' : p.met ? 'met' : 'missed'}`}>
                      <span aria-hidden="true">{p.met === null ? '○' : p.met ? '●' : '■'}</span> {promised(p.at_least, p.at_most, t.unit)}{p.due && <> · {shortDay(p.due, language)}</>}: {p.met === null ? said.notMeasured : p.met ? said.met : said.missed}
                    </span>
                  </li>
                ))}
              </ul>
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
