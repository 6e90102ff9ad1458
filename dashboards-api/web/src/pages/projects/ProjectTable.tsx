import { Link } from '@tanstack/react-router'
import { day, number, shortDay } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { Severity } from './Attention'
import { type Attention, gravest, money, percentOf, type Project } from './data'
import { useCurrency, useStages } from './labels'
import { words } from './words'

// ProjectTable lists every project that fits.
export function ProjectTable({ projects, agencies, rules, caption, on }: { projects: Project[]; agencies: Record<string, Record<string, string>>; rules: Attention['rules']; caption: string; on: string }) {
  const said = useWordsOf(words)
  const all = useWords()
  const voice = useVoice()
  const { language } = voice
  const currency = useCurrency()
  const stages = useStages()
  const c = said.columns
  const columns: Column<Project>[] = [
    {
      key: 'name', title: c.project, wide: true, order: (p) => p.name || p.id,
      cell: (p) => (
        <>
          <Link to="/projects/$id" params={{ id: p.id }} search={({ lang, on }) => ({ lang, on })} className="name">{p.name || p.id}</Link>
          <span className="under">{p.id} · {nameIn(agencies[p.agency], language, p.agency)}{p.simulated && <> · {all.simulatedShort}</>}</span>
        </>
      ),
    },
    {
      key: 'attention', title: c.attention, order: (p) => -(100 * gravest(p, rules) + p.attention.length),
      cell: (p) => p.attention.length > 0 && <span className="marks">{p.attention.slice(0, 3).map((id) => <span key={id} className="mark-line"><Severity of={rules.find((r) => r.rule === id)?.severity ?? 1} /> {said.rules[id as keyof typeof said.rules] ?? id}</span>)}{p.attention.length > 3 && <small>+{p.attention.length - 3}</small>}</span>,
    },
    {
      key: 'stage', title: c.stage, minor: true, order: (p) => stages.order.indexOf(p.stage),
      cell: (p) => <>{p.stage ? stages.name(p.stage) : said.statuses[p.status]}{p.stage_since && <span className="under">{fill(said.since, { day: day(p.stage_since, language) })}</span>}</>,
    },
    { key: 'milestones', title: c.milestones, number: true, minor: true, order: (p) => (p.milestones.due ? p.milestones.on_time / p.milestones.due : null), cell: (p) => (p.milestones.due ? fill(said.ofDue, { n: p.milestones.on_time, all: p.milestones.due }) : '') },
    { key: 'late', title: c.late, number: true, order: (p) => p.milestones.days_late, cell: (p) => (p.milestones.days_late === null ? '' : number(p.milestones.days_late, language, Number.isInteger(p.milestones.days_late) ? 0 : 1)) },
    { key: 'next', title: c.next, minor: true, order: (p) => p.milestones.next_due, cell: (p) => p.milestones.next_due && <span className={p.milestones.next_due < on ? 'overdue' : undefined}>{shortDay(p.milestones.next_due, language)}</span> },
    { key: 'report', title: c.report, number: true, minor: true, order: (p) => p.report.on, cell: (p) => p.report.on && <><span title={day(p.report.on, language)}>{p.report.percent === null ? '' : `${p.report.percent}\u00a0%`}</span><span className={p.report.stale ? 'under overdue' : 'under'}>{shortDay(p.report.on, language)}</span></> },
    {
      key: 'money', title: c.money, number: true, order: (p) => percentOf(p.money.spent, p.money.contracted),
      cell: (p) => {
        const share = percentOf(p.money.spent, p.money.contracted)
        return p.money.contracted !== null && <><span className={share !== null && share > 100 ? 'overdue' : undefined}>{share === null ? '' : `${number(share, language)}\u00a0%`}</span><span className="under">{money(p.money.contracted, currency, voice)}</span></>
      },
    },
    { key: 'rating', title: c.rating, number: true, minor: true, order: (p) => p.rating.computed, cell: (p) => p.rating.computed !== null && <span className={p.rating.computed < 2.5 ? 'overdue' : undefined}>{number(p.rating.computed, language, 1)}</span> },
  ]
  return <section className="card"><DataTable caption={caption} columns={columns} rows={projects} keyOf={(p) => p.id} sort={{ key: 'attention' }} stacked most={60} more={(n) => fill(said.more, { n })} /></section>
}
