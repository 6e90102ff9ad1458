import { Link, useSearch } from '@tanstack/react-router'
import { useDeferredValue, useId, useMemo, useState } from 'react'
import { address, ApiError } from '../../api/client'
import { amount, day, number } from '../../format'
import { Choose, useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Popover } from '../../parts/Popover'
import { Empty, NotOffered } from '../../parts/States'
import { Tabs } from '../../parts/Tabs'
import { isDay } from '../../period'
import { readSearch, type Search, writeSearch } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { finder } from '../places/fold'
import { DayFilter, Exports, More, SearchField } from '../places/parts'
import { Agencies } from './Agencies'
import { AttentionList } from './Attention'
import { type Asked, dayOf, daysBetween, money, oldAfter, percentOf, type Projects, useAttention, useProjects } from './data'
import { Duplicates } from './Duplicates'
import { ProjectTable } from './ProjectTable'
import { Stages } from './Stages'
import { TargetsMatrix } from './Targets'
import { useViews } from './views'
import { useCurrency } from './labels'
import { words } from './words'
import '../places/places.css'
import './projects.css'

export { Profile } from './Profile'

export default function ProjectsPage() {
  const shared = useWords()
  const said = useWordsOf(words)
  const { language } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const chosen = isDay(search.on) ? search.on : undefined
  // Of which day the portfolio is told is known only when it has been asked once.
  const today = useProjects({})
  const on = chosen ?? (today.data ? dayOf(today.data) : undefined)
  const offered = useOffered(today.data)
  const one = (name: keyof Offered) => offered[name].find(([key]) => key === search[name])?.[0]
  const wanted: Asked = { on: on === today.data?.on ? undefined : on, agency: one('agency'), stage: one('stage'), status: one('status'), priority: one('priority'), programme: one('programme'), serves: search.kind === 'unserved' ? 'none' : undefined, rule: one('rule') }
  const asked = on === undefined || !today.data ? undefined : wanted // what there is to narrow by is known then
  const projects = useProjects(asked)
  const attention = useAttention(asked)
  const data = projects.data
  const rules = attention.data?.rules ?? []
  const sought = useDeferredValue(search.q ?? '')
  const list = useMemo(() => {
    const found = finder(sought)
    return (data?.projects ?? []).filter((p) => found(p.name, p.id, p.register_number, ...Object.values(data?.agencies[p.agency] ?? {})))
  }, [data, sought])
  const ids = useMemo(() => new Set(list.map((p) => p.id)), [list])
  if (today.isError && today.error instanceof ApiError && today.error.status === 404) {
    return <Page title={said.noPortfolio} tab={said.title}><Empty title={said.noPortfolio}><p>{said.noPortfolioHint}</p><p><a href="/docs">{said.title}</a></p></Empty></Page>
  }
  const figures = data?.figures
  const title = !figures || figures.projects === 0 ? said.title : figures.active === 0 ? fill(said.noneActive, { all: number(figures.projects, language) })
    : figures.needing_attention ? fill(said.finding, { n: number(figures.needing_attention, language), all: number(figures.active, language) }) : said.findingNone
  const narrowed = Boolean(search.q || search.agency || search.stage || search.status || search.priority || search.programme || search.rule || search.kind)
  const old = data?.data_through && daysBetween(data.data_through, data.on) > oldAfter ? daysBetween(data.data_through, data.on) : 0
  return (
    <Page title={title} tab={said.title} query={today.isError && !chosen ? today : projects} simulated={figures ? figures.simulated > 0 : false}
      summary={data && data.data_through && <>{fill(said.summary, { all: number(data.total, language), day: day(data.on, language), through: day(data.data_through, language) })}{!chosen && today.data && data.on !== today.data.on && <> · {fill(said.seenFrom, { day: day(data.on, language) })}</>}</>}
      filters={<><DayFilter label={said.on} on={chosen} shown={data?.on} most={today.data?.on ?? ''} onChange={(next) => change({ on: next })} /><Views search={search} /></>}
      actions={<Exports path={address('/v1/projects', { ...wanted } as object)} />}>
      {today.data && (Object.keys(offered) as (keyof Offered)[]).map((name) => <NotOffered key={name} part={name} value={search[name]} options={offered[name]} />)}
      {old > 0 && data && <p className="notice">{fill(said.stale, { day: day(data.data_through!, language), days: number(old, language) })}</p>}
      {data && figures && (figures.projects === 0 && !narrowed ? (
        <Empty title={fill(said.empty, { day: day(data.on, language) })}><p>{today.data && today.data.figures.projects > 0 && data.on < today.data.on ? fill(said.emptyHint, { day: day(earliest(today.data), language) }) : said.emptyFresh}</p><p><a href="/docs">{shared.documentation}</a></p></Empty>
      ) : (
        <>
          <Figures figures={figures} />
          <Narrow values={offered} search={search} narrowed={narrowed} />
          {list.length === 0 ? <Empty title={said.fits}><p>{said.fitsHint}</p></Empty> : (
            <div className={projects.isPlaceholderData ? 'refreshing' : undefined}>
              <Tabs label={said.title} open={search.tab} onOpen={(tab) => change({ tab: tab === 'attention' ? undefined : tab })}
                tabs={[
                  { key: 'attention', title: said.tabs.attention, body: <AttentionList attention={attention} ids={ids} on={data.on} agencies={data.agencies} /> },
                  { key: 'table', title: said.tabs.table, body: <ProjectTable projects={list} agencies={data.agencies} rules={rules} caption={title} on={data.on} /> },
                  { key: 'stages', title: said.tabs.stages, body: <Stages projects={list} on={data.on} rules={rules} /> },
                  { key: 'agencies', title: said.tabs.agencies, body: <Agencies asked={wanted} /> },
                  { key: 'targets', title: said.tabs.targets, body: <TargetsMatrix on={data.on} /> },
                  { key: 'duplicates', title: said.tabs.duplicates, body: <Duplicates asked={wanted} agencies={data.agencies} /> },
                ]} />
            </div>
          )}
        </>
      ))}
    </Page>
  )
}

const earliest = (all: Projects): string => all.projects.map((p) => p.registered_on ?? p.stage_since).filter((d): d is string => !!d).sort()[0] ?? all.on

// Figures are those of the projects that fit, each with what it is out of.
function Figures({ figures }: { figures: Projects['figures'] }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const { language } = voice
  const currency = useCurrency()
  const percent = (v: number | null) => (v === null ? '–' : amount(v, 'percent', language))
  const of = (text: string, n: number, all: number) => fill(text, { n: number(n, language), all: number(all, language) })
  const cards: [string, string, string, number | null][] = [
    [said.figures.onTime, percent(figures.on_time_share), of(said.onTimeOf, figures.milestones_on_time, figures.milestones_due), figures.on_time_share],
    [said.figures.late, figures.days_late === null ? '–' : number(figures.days_late, language, Number.isInteger(figures.days_late) ? 0 : 1), said.lateOf, null],
    [said.figures.stale, percent(figures.stale_share), of(said.staleOf, figures.stale, figures.active), figures.stale_share],
    [said.figures.promises, percent(figures.promises_met_share), of(said.promisesOf, figures.promises_met, figures.promises_due), figures.promises_met_share],
    [said.figures.money, percent(percentOf(figures.spent, figures.contracted)), fill(said.moneyOf, { spent: money(figures.spent, currency, voice), contracted: money(figures.contracted, currency, voice), budgeted: money(figures.budgeted, currency, voice) }), percentOf(figures.spent, figures.contracted)],
    [said.figures.rating, figures.rating === null ? '–' : number(figures.rating, language, 1), fill(said.ratingOf, { n: number(figures.rated, language), overridden: number(figures.overridden, language) }), figures.rating === null ? null : 20 * figures.rating],
  ]
  return (
    <>
      <p className="meta">{said.ofAll}</p>
      <dl className="strip">
        {cards.map(([name, value, note, share]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd><span className="figure">{value}</span>
              {share !== null && <svg className="gauge" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect className="track" width="100" height="4" /><rect className="fill" width={Math.min(100, share)} height="4" /></svg>}
              <small>{note}</small>
            </dd>
          </div>
        ))}
      </dl>
    </>
  )
}

type Offered = Record<'agency' | 'stage' | 'priority' | 'programme' | 'status' | 'rule', [string, string][]>

// useOffered is what the portfolio has, each with its name, by the part of the address that
// narrows by it.
function useOffered(data: Projects | undefined): Offered {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  return useMemo(() => {
    const of = (pick: (p: Projects['projects'][number]) => string) => [...new Set((data?.projects ?? []).map(pick))].filter(Boolean)
    const named = (name: string, list: string[]): [string, string][] => list.map((v) => [v, labels[`value.${name}.${v}`] ?? v])
    const sorted = (list: [string, string][]) => list.sort((a, b) => a[1].localeCompare(b[1], language))
    return {
      agency: sorted(of((p) => p.agency).map((a) => [a, nameIn(data!.agencies[a], language, a)])),
      stage: named('stage', of((p) => p.stage)),
      priority: named('priority', of((p) => p.priority)),
      programme: sorted(named('programme', of((p) => p.programme))),
      status: (['proposed', 'accepted', 'active', 'ended'] as const).map((s): [string, string] => [s, said.statuses[s]]),
      rule: Object.entries(said.rules),
    }
  }, [data, labels, language, said])
}

// Narrow offers what the portfolio has; a choice is a part of the address.
function Narrow({ values, search, narrowed }: { values: Offered; search: Search; narrowed: boolean }) {
  const said = useWordsOf(words)
  const change = useChange()
  const names = { agency: said.agency, stage: said.stage, status: said.status, priority: said.priority, programme: said.programme }
  return (
    <div className="filters narrow">
      <SearchField label={said.search} value={search.q ?? ''} onChange={(q) => change({ q: q || undefined })} />
      <More title={said.narrow}>{(['agency', 'stage', 'status', 'priority', 'programme'] as const).filter((n) => values[n].length > 1).map((n) => (
        <Choose key={n} label={names[n]} value={search[n] ?? ''} options={[['', said.all], ...values[n]]} onChange={(v) => change({ [n]: v || undefined })} />
      ))}</More>
      {search.rule && <button type="button" onClick={() => change({ rule: undefined })}>{said.rule}: {said.rules[search.rule as keyof typeof said.rules] ?? search.rule} <span aria-hidden="true">×</span></button>}
      {narrowed && <button type="button" className="quiet" onClick={() => change({ q: undefined, agency: undefined, stage: undefined, status: undefined, priority: undefined, programme: undefined, rule: undefined, kind: undefined })}>{said.clear}</button>}
    </div>
  )
}

// Views are ready-made and the reader's own.
function Views({ search }: { search: Search }) {
  const said = useWordsOf(words)
  const { views, account, keep, drop } = useViews()
  const [name, setName] = useState('')
  const id = useId()
  const { lang, ...rest } = search
  const ready: [string, Search][] = [[said.ready.silent, { rule: 'report-missing' }], [said.ready.late, { rule: 'milestone-overdue' }], [said.ready.money, { rule: 'overspent' }], [said.ready.unserved, { kind: 'unserved', status: 'active', tab: 'table' }]]
  // A view has no language of its own: it opens in the reader's.
  const searchOf = (address: string): Search => ({ ...readSearch(address.slice('/projects'.length)), lang })
  return (
    <Popover label={said.views} className="button" button={said.views}>
      <ul className="view-list">
        {ready.map(([title, to]) => <li key={title}><Link to="/projects" search={{ lang, ...to } as never}>{title}</Link></li>)}
        {views.map((v) => (
          <li key={v.name}>
            <Link to="/projects" search={searchOf(v.address) as never}>{v.name}</Link>
            <button type="button" className="quiet" aria-label={fill(said.removeView, { name: v.name })} onClick={() => drop(v.name)}>×</button>
          </li>
        ))}
      </ul>
      <form className="view-form" onSubmit={(event) => {
        event.preventDefault()
        if (!name.trim()) return
        keep({ name: name.trim().slice(0, 100), address: '/projects' + writeSearch(rest as Search) })
        setName('')
      }}>
        <label htmlFor={id}>{said.viewName}</label>
        <input id={id} value={name} maxLength={100} onChange={(event) => setName(event.target.value)} />
        <button type="submit">{said.saveView}</button>
        <small>{account ? said.keptAccount : said.keptHere}</small>
      </form>
    </Popover>
  )
}

