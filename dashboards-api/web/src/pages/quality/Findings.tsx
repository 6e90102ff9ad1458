import type { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { day, number, plain, shortDay } from '../../format'
import { Choose, useChange } from '../../parts/Filters'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { expectedOf, type Finding } from './data'
import { useOwner } from './Sources'
import { words } from './words'

const grave: Record<string, number> = { error: 3, warning: 2, notice: 1 }
const signs: Record<string, string> = { error: '■', warning: '▲', notice: '○' }
const most = 25

// Findings are what is wrong with the data, each with who can mend it.
export function Findings({ findings, nameOf, onAsk }: { findings: ReturnType<typeof useQuery<{ findings: Finding[] }>>; nameOf: (id: string) => string; onAsk: ((source: string) => void) | undefined }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const owner = useOwner()
  const [shown, show] = useState(most)
  if (findings.isError) return <Failure error={findings.error} again={() => void findings.refetch()} />
  if (!findings.data) return <Skeleton rows={6} kind="row" />
  const all = findings.data.findings
  if (all.length === 0) return <Empty title={said.findingsNone}><p>{said.findingsNoneHint}</p></Empty>
  const rule = (id: string) => said.rules[id as keyof typeof said.rules] ?? id
  const ids = (of: (f: Finding) => string) => [...new Set(all.map(of))].filter(Boolean).sort()
  const list = all
    .filter((f) => (!search.rule || f.rule === search.rule) && (!search.severity || f.severity === search.severity) && (!search.source || expectedOf(f.source) === search.source))
    .sort((a, b) => grave[b.severity]! - grave[a.severity]!)
  return (
    <section className="card">
      <div className="filters narrow">
        <Choose label={said.severity} value={search.severity ?? ''} options={[['', said.all], ...ids((f) => f.severity).map((s): [string, string] => [s, said.severities[s as 'error']])]} onChange={(v) => change({ severity: v || undefined })} />
        <Choose label={said.rule} value={search.rule ?? ''} options={[['', said.all], ...ids((f) => f.rule).map((r): [string, string] => [r, rule(r)])]} onChange={(v) => change({ rule: v || undefined })} />
        <Choose label={said.source} value={search.source ?? ''} options={[['', said.all], ...ids((f) => expectedOf(f.source)).map((s): [string, string] => [s, nameOf(s)])]} onChange={(v) => change({ source: v || undefined })} />
      </div>
      <ul className="data-findings">
        {list.slice(0, shown).map((f, i) => (
          <li key={i}>
            <span className={`severity s${grave[f.severity]}`}><span aria-hidden="true">{signs[f.severity]}</span> {said.severities[f.severity]}</span>
            <div>
              <b>{rule(f.rule)}</b> · {nameOf(f.source)}{f.type && <code> {f.type}</code>}
              <p>{plain(nameIn(f.words, language), language)}</p>
              <p className="meta">
                {said.mend}: {owner(f.owner)}{f.since && <> · {fill(said.since, { day: day(f.since, language) })}</>}{f.field && <> · {said.field}: {f.field}</>}
                {f.expected !== null && <> · {fill(said.expected, { n: number(f.expected, language) })}</>}
              </p>
              {f.examples.length > 0 && <details><summary>{said.examples}</summary><ul className="meta">{f.examples.map((e) => <li key={e}><code>{e}</code></li>)}</ul></details>}
            </div>
            <span className="finding-act">
              {f.since && <small className="meta">{shortDay(f.since, language)}</small>}
              {onAsk && (f.rule === 'freshness' || f.rule === 'silence' || f.rule === 'missing-period') && <button type="button" aria-label={`${said.ask}: ${nameOf(f.source)}`} onClick={() => onAsk(expectedOf(f.source))}>{said.ask}</button>}
            </span>
          </li>
        ))}
      </ul>
      {list.length > shown && <button type="button" onClick={() => show(shown + 100)}>{fill(said.more, { n: list.length - shown })}</button>}
    </section>
  )
}
