import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { useQuery } from '@tanstack/react-query'
import { day, number, shortDay } from '../../format'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { useKpis } from '../places/data'
import { type Attention, daysBetween, type Finding, foundText } from './data'
import { words } from './words'

type Names = Record<string, Record<string, string>>

const signs = ['', '○', '▲', '■']

// Severity is how grave a rule is, by shape, colour and word.
export function Severity({ of }: { of: number }) {
  const said = useWordsOf(words)
  const name = said.severity[`s${of}` as keyof typeof said.severity]
  return <span className={`severity s${of}`} title={name}><span aria-hidden="true">{signs[of]}</span><span className="spoken">{name}</span></span>
}

const shownOfRule = 6

// AttentionList is what needs attention this week, by rule, the gravest first.
export function AttentionList({ attention, ids, on, agencies }: { attention: ReturnType<typeof useQuery<Attention>>; ids: Set<string>; on: string; agencies: Names }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  if (attention.isError) return <Failure error={attention.error} again={() => void attention.refetch()} />
  if (!attention.data) return <Skeleton rows={6} kind="row" />
  const found = attention.data.findings.filter((f) => ids.has(f.project))
  if (found.length === 0) return <Empty title={said.attentionNone} />
  const rules = attention.data.rules.map((rule) => ({ ...rule, found: found.filter((f) => f.rule === rule.rule) })).filter((rule) => rule.found.length > 0)
  const projects = (list: Finding[]) => new Set(list.map((f) => f.project)).size
  const most = Math.max(...rules.map((r) => projects(r.found)))
  return (
    <div className="attention">
      <nav className="card by-rule" aria-label={said.rule}>
        <h2>{fill(said.week, { day: day(on, language) })}</h2>
        <ul>
          {rules.map((rule) => (
            <li key={rule.rule}>
              <a href={`#rule-${rule.rule}`}><Severity of={rule.severity} /> {said.rules[rule.rule as keyof typeof said.rules] ?? rule.rule}</a>
              <svg className={`part-bar s${rule.severity}`} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width={(100 * projects(rule.found)) / most} height="6" /></svg>
              <b>{number(projects(rule.found), language)}</b>
            </li>
          ))}
        </ul>
      </nav>
      <div className="rules">
        {rules.map((rule) => (
          <Rule key={rule.rule} id={rule.rule} severity={rule.severity} about={rule.about} found={rule.found} on={on} agencies={agencies} count={projects(rule.found)} />
        ))}
      </div>
    </div>
  )
}

function Rule({ id, severity, about, found, on, agencies, count }: { id: string; severity: number; about: string; found: Finding[]; on: string; agencies: Names; count: number }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const [all, setAll] = useState(false)
  const shown = all ? found : found.slice(0, shownOfRule)
  return (
    <section className="card" aria-labelledby={`rule-${id}`}>
      <div className="section-head"><h2 id={`rule-${id}`}><Severity of={severity} /> {said.rules[id as keyof typeof said.rules] ?? id}</h2><span className="meta">{fill(said.byRule, { n: number(count, language) })}</span></div>
      <p className="meta">{said.abouts[id as keyof typeof said.abouts] ?? about}</p>
      <ul className="findings">
        {shown.map((f, i) => <FindingLine key={i} finding={f} on={on} agency={nameIn(agencies[f.agency], language, f.agency)} />)}
      </ul>
      {found.length > shown.length && <button type="button" onClick={() => setAll(true)}>{fill(said.more, { n: found.length - shown.length })}</button>}
    </section>
  )
}

function FindingLine({ finding, on, agency }: { finding: Finding; on: string; agency: string }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const kpis = useKpis()
  const age = finding.since && finding.since < on ? daysBetween(finding.since, on) : 0
  return (
    <li>
      <div>
        <Link to="/projects/$id" params={{ id: finding.project }} search={({ lang, on }) => ({ lang, on })} className="name">{finding.name || finding.project}</Link>
        <span className="under">{agency}</span>
      </div>
      <span className="what">{foundText(finding, said, voice, kpis.data?.kpis, (id) => id)}</span>
      <span className="age" title={finding.since ? shortDay(finding.since, voice.language) : undefined}>{age > 0 && fill(said.daysAgo, { n: number(age, voice.language) })}</span>
    </li>
  )
}
