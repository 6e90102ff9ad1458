import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { get } from '../../api/client'
import { useMay, useScope } from '../../api/me'
import { dayOfMoment, number } from '../../format'
import { useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { type Tab, Tabs } from '../../parts/Tabs'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { Exports } from '../places/parts'
import { expectedOf, type Finding, type Quality, sendersOf, type Status } from './data'
import { Findings } from './Findings'
import { MissingPeriods } from './MissingPeriods'
import { LetterDialog } from './Letter'
import { Quarantine } from './Quarantine'
import { Contracts, Sources } from './Sources'
import { words } from './words'
import '../places/places.css'
import '../projects/projects.css'
import './quality.css'

export default function QualityPage() {
  const said = useWordsOf(words)
  const { language, zone } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const may = useMay()
  const status = useQuery({ queryKey: ['status'], queryFn: ({ signal }) => get<Status>('/v1/status', signal), placeholderData: keepPreviousData })
  const quality = useQuery({ queryKey: ['quality'], queryFn: ({ signal }) => get<Quality>('/v1/quality', signal), placeholderData: keepPreviousData })
  const findings = useQuery({ queryKey: ['findings'], queryFn: ({ signal }) => get<{ findings: Finding[] }>('/v1/quality/findings', signal), placeholderData: keepPreviousData })
  const scope = useScope()
  const owner = scope && (scope.dimension === 'agency' ? scope.value : '')
  const [asking, ask] = useState<string>()
  const senders = useMemo(() => (status.data && quality.data ? sendersOf(status.data.sources, quality.data.rows, owner) : undefined), [status.data, quality.data, owner])
  const names = useMemo(() => new Map((status.data?.sources ?? []).filter((s) => expectedOf(s.source) === s.source).map((s) => [s.source, nameIn(s.title, language, s.source)])), [status.data, language])
  const nameOf = (id: string) => names.get(expectedOf(id)) ?? id
  const promised = senders?.filter((s) => s.source.promise_seconds > 0) ?? []
  const behind = promised.filter((s) => s.state === 'late' || s.state === 'silent').length
  const played = promised.filter((s) => s.state === 'simulated').length
  const title = !senders || (scope && !promised.length) ? said.title : played ? fill(said.findingSimulated, { n: behind, played, all: promised.length }) : behind ? fill(said.findingLate, { n: behind, all: promised.length }) : fill(said.findingFine, { all: promised.length })
  const s = status.data
  const accepted = quality.data?.rows.reduce((n, r) => n + r.accepted, 0) ?? 0
  const national = quality.data?.national
  const simulated = senders?.some((one) => one.simulated > 0)
  const onAsk = may('GET /v1/letters/{source}') ? ask : undefined
  const counted = (text: string, n: number | undefined) => (n ? `${text} (${number(n, language)})` : text)
  const tabs: Tab[] = [
    { key: 'sources', title: said.tabs.sources, body: <Sources senders={senders} query={status.isError ? status : quality} onAsk={onAsk} /> },
    { key: 'findings', title: counted(said.tabs.findings, findings.data?.findings.length), body: <Findings findings={findings} nameOf={nameOf} onAsk={onAsk} /> },
    { key: 'gaps', title: said.tabs.gaps, body: <MissingPeriods findings={findings} nameOf={nameOf} /> },
  ]
  if (may('GET /v1/quarantine')) tabs.push({ key: 'quarantine', title: counted(said.tabs.quarantine, s?.held), body: <Quarantine nameOf={nameOf} sources={[...names]} /> })
  tabs.push({ key: 'contracts', title: said.tabs.contracts, body: <Contracts rows={quality.data?.rows} query={quality} nameOf={nameOf} /> })
  return (
    <Page title={title} tab={said.title} query={status} simulated={simulated}
      summary={s && <>{fill(national ? said.summaryOwn : said.summary, { events: number(accepted, language), all: number(national?.accepted ?? 0, language), received: s.received ? dayOfMoment(s.received, zone, language) : '–' })}{s.lag_events > 0 && <> · {fill(said.summaryLag, { lag: number(s.lag_events, language) })}</>}</>}
      actions={<Exports path="/v1/quality/findings" />}>
      {s && s.problems.length > 0 && <div className="failure" role="alert"><ul>{s.problems.map((p) => <li key={p}>{p}</li>)}</ul></div>}
      <Tabs label={said.title} open={search.tab} onOpen={(tab) => change({ tab: tab === 'sources' ? undefined : tab })} tabs={tabs} />
      <LetterDialog source={asking} onClose={() => ask(undefined)} />
    </Page>
  )
}
