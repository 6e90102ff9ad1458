import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { amount, number } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Choose } from '../../parts/Filters'
import { Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { type Asked, money, type Summary, useSummary } from './data'
import { words } from './words'

type Group = Summary['groups'][number]

// Agencies sums the portfolio up by agency, or by stage, priority or programme, with money set
// aside, contracted and spent on one scale.
export function Agencies({ asked }: { asked: Asked }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const [by, setBy] = useState<'agency' | 'stage' | 'priority' | 'programme'>('agency')
  const summary = useSummary(asked, by)
  if (summary.isError) return <Failure error={summary.error} again={() => void summary.refetch()} />
  const data = summary.data
  if (!data) return <Skeleton rows={6} kind="row" />
  const name = (g: Group) => (g.key === '' ? said.none : data.by === 'agency' ? nameIn(data.agencies[g.key], language, g.key) : (labels[`value.${data.by}.${g.key}`] ?? g.key))
  const most = Math.max(1, ...data.groups.map((g) => Math.max(g.budgeted, g.contracted, g.spent)))
  const c = said.columns
  const count = (n: number) => number(n, language)
  const columns: Column<Group>[] = [
    { key: 'name', title: said[data.by as 'agency'] ?? data.by, wide: true, order: name, cell: (g) => (data.by === 'agency' && g.key ? <Link to="/agencies/$id" params={{ id: g.key }} search={({ lang }) => ({ lang })} className="name">{name(g)}</Link> : name(g)) },
    { key: 'projects', title: c.projects, number: true, order: (g) => g.projects, cell: (g) => <Link to="/projects" search={(old) => ({ ...old, [data.by]: g.key, tab: 'table' }) as never}>{count(g.projects)}</Link> },
    { key: 'needing', title: c.needing, number: true, order: (g) => g.needing_attention, cell: (g) => count(g.needing_attention) },
    { key: 'stale', title: c.stale, number: true, minor: true, order: (g) => g.stale, cell: (g) => count(g.stale) },
    { key: 'onTime', title: c.milestones, number: true, order: (g) => g.on_time_share, cell: (g) => g.on_time_share !== null && <>{amount(g.on_time_share, 'percent', language)}<span className="under">{fill(said.ofDue, { n: count(g.milestones_on_time), all: count(g.milestones_due) })}</span></> },
    { key: 'late', title: c.late, number: true, minor: true, order: (g) => g.days_late, cell: (g) => (g.days_late === null ? '' : number(g.days_late, language, Number.isInteger(g.days_late) ? 0 : 1)) },
    { key: 'money', title: said.money, minor: true, order: (g) => g.contracted, cell: (g) => <MoneyBar group={g} most={most} currency={data.currency} /> },
  ]
  return (
    <section className="card" aria-labelledby="by-group">
      <div className="section-head"><h2 id="by-group">{said.tabs.agencies}</h2><Choose label={said.by} value={by} options={(['agency', 'stage', 'priority', 'programme'] as const).map((k) => [k, said.bys[k]])} onChange={(v) => setBy(v as 'agency')} /></div>
      <MoneyLegend />
      <DataTable caption={said.tabs.agencies} columns={columns} rows={data.groups} keyOf={(g) => g.key} sort={{ key: 'money', down: true }} most={40} more={(n) => fill(said.more, { n })} />
    </section>
  )
}

export function MoneyLegend() {
  const said = useWordsOf(words)
  return <p className="money-legend meta"><span className="key budgeted" aria-hidden="true" /> {said.budgeted} <span className="key contracted" aria-hidden="true" /> {said.contracted} <span className="key spent" aria-hidden="true" /> {said.spent}</p>
}

// MoneyBar nests spent in contracted in set aside, from zero.
export function MoneyBar({ group, most, currency }: { group: { budgeted: number | null; contracted: number | null; spent: number | null }; most: number; currency: string }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const width = (v: number | null) => (100 * Math.max(0, v ?? 0)) / most
  const text = (v: number | null) => money(v, currency, voice) || '–'
  return (
    <span className="money-bar">
      <svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
        <rect className="budgeted" width={width(group.budgeted)} height="14" />
        <rect className="contracted" y="3" width={width(group.contracted)} height="8" />
        <rect className="spent" y="5.5" width={width(group.spent)} height="3" />
      </svg>
      <span className="under">{said.budgeted} {text(group.budgeted)} · {said.contracted} {text(group.contracted)} · {said.spent} {text(group.spent)}</span>
    </span>
  )
}

