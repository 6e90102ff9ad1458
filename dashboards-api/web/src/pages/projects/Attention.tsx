import { Link, useSearch } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import type { useQuery } from '@tanstack/react-query'
import { day, number, shortDay } from '../../format'
import { Choose, useChange } from '../../parts/Filters'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { useKpis } from '../places/data'
import { type Attention, daysBetween, type Finding, foundText, isFresh } from './data'
import { words } from './words'

type Names = Record<string, Record<string, string>>

const signs = ['', '○', '▲', '■']

// Severity is how grave a rule is, by shape, colour and word.
export function Severity({ of }: { of: number }) {
  const said = useWordsOf(words)
  const name = said.severity[`s${of}` as keyof typeof said.severity]
  return <span className={`severity s${of}`} title={name}><span aria-hidden="true">{signs[of]}</span><span className="spoken">{name}</span></span>
}

const step = 50 // findings that one press adds
const shownAtFirst = 6

interface Group {
  key: string
  title: ReactNode
  about?: string
  severity: number
  found: Finding[]
  projects: number
}

// AttentionList is what needs attention this week: by rule, the gravest first, or by agency,
// so that one call settles what one owner has open; all of it, or what is new since a week.
export function AttentionList({ attention, ids, on, agencies }: { attention: ReturnType<typeof useQuery<Attention>>; ids: Set<string>; on: string; agencies: Names }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const byAgency = search.by === 'agency'
  if (attention.isError) return <Failure error={attention.error} again={() => void attention.refetch()} />
  if (!attention.data) return <Skeleton rows={6} kind="row" />
  const fits = attention.data.findings.filter((f) => ids.has(f.project))
  if (fits.length === 0) return <Empty title={said.attentionNone} />
  const fresh = fits.filter((f) => isFresh(f, on))
  const found = search.view === 'new' ? fresh : fits
  const groups = byAgency ? groupsByAgency(found, agencies, language) : attention.data.rules.flatMap((rule) => {
    const of = found.filter((f) => f.rule === rule.rule)
    return of.length ? [{ key: rule.rule, title: said.rules[rule.rule as keyof typeof said.rules] ?? rule.rule, about: said.abouts[rule.rule as keyof typeof said.abouts] ?? rule.about, severity: rule.severity, found: of, projects: projectsOf(of) }] : []
  })
  const most = Math.max(...groups.map((g) => g.projects))
  return (
    <div className="attention">
      <nav className="card by-rule" aria-label={byAgency ? said.agency : said.rule}>
        <h2>{fill(said.week, { day: day(on, language) })}</h2>
        <div className="group attention-how">
          <Choose label={said.groupBy} value={byAgency ? 'agency' : ''} options={[['', said.rule], ['agency', said.agency]]} onChange={(by) => change({ by: by || undefined })} />
          <label className="check"><input type="checkbox" checked={search.view === 'new'} onChange={(event) => change({ view: event.target.checked ? 'new' : undefined })} /> {fill(said.newOnly, { n: number(fresh.length, language) })}</label>
        </div>
        <ul>
          {groups.map((g) => (
            <li key={g.key}>
              <a href={`#group-${g.key}`}><Severity of={g.severity} /> {g.title}</a>
              <svg className={`part-bar s${g.severity}`} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width={(100 * g.projects) / most} height="6" /></svg>
              <b>{number(g.projects, language)}</b>
            </li>
          ))}
        </ul>
      </nav>
      <div className="rules">
        {groups.length === 0 && <Empty title={said.newNone} />}
        {groups.map((g) => <Found key={g.key} group={g} on={on} agencies={agencies} byAgency={byAgency} />)}
      </div>
    </div>
  )
}

const projectsOf = (list: Finding[]) => new Set(list.map((f) => f.project)).size

// groupsByAgency puts the agency first that has most projects with findings, and within it what
// is gravest and oldest.
function groupsByAgency(found: Finding[], agencies: Names, language: string): Group[] {
  const by = new Map<string, Finding[]>()
  for (const f of found) by.set(f.agency, [...(by.get(f.agency) ?? []), f])
  return [...by]
    .map(([key, list]) => ({ key, title: nameIn(agencies[key], language, key), severity: Math.max(...list.map((f) => f.severity)), found: list.sort((a, b) => b.severity - a.severity || (a.since ?? '~').localeCompare(b.since ?? '~')), projects: projectsOf(list) }))
    .sort((a, b) => b.projects - a.projects || a.key.localeCompare(b.key))
}

function Found({ group, on, agencies, byAgency }: { group: Group; on: string; agencies: Names; byAgency: boolean }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const [most, setMost] = useState(shownAtFirst)
  const { key, found } = group
  const next = Math.min(step, found.length - most)
  return (
    <section className="card" aria-labelledby={`group-${key}`}>
      <div className="section-head"><h2 id={`group-${key}`}><Severity of={group.severity} /> {group.title}</h2><span className="meta">{fill(said.byRule, { n: number(group.projects, language) })}</span></div>
      {group.about && <p className="meta">{group.about}</p>}
      <ul className="findings">
        {found.slice(0, most).map((f) => <FindingLine key={`${f.rule} ${f.project} ${f.words}`} finding={f} on={on} under={byAgency ? <><Severity of={f.severity} /> {said.rules[f.rule as keyof typeof said.rules] ?? f.rule}</> : nameIn(agencies[f.agency], language, f.agency)} />)}
      </ul>
      {next > 0 && <button type="button" onClick={() => setMost(most + step)}>{fill(said.more, { n: number(next, language) })}</button>}
    </section>
  )
}

function FindingLine({ finding, on, under }: { finding: Finding; on: string; under: ReactNode }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const kpis = useKpis()
  const age = finding.since && finding.since < on ? daysBetween(finding.since, on) : 0
  return (
    <li>
      <div>
        <Link to="/projects/$id" params={{ id: finding.project }} search={({ lang, on }) => ({ lang, on })} className="name">{finding.name || finding.project}</Link>
        <span className="under">{under}</span>
      </div>
      <span className="what">{foundText(finding, said, voice, kpis.data?.kpis, (id) => id)}</span>
      <span className="age" title={finding.since ? shortDay(finding.since, voice.language) : undefined}>{age > 0 && fill(said.daysAgo, { n: number(age, voice.language) })}</span>
    </li>
  )
}
