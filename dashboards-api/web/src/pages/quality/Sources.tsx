import { dayOfMoment, isoDayOfMoment, number, shortDay } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { useTable } from '../places/data'
import { age, type QualityRow, type Sender } from './data'
import { words } from './words'

interface Query { isError: boolean; error: unknown; refetch: () => unknown }

export function useOwner(): (code: string) => string {
  const { language } = useVoice()
  const organisations = useTable('organisations')
  const names = new Map((organisations.data?.rows ?? []).map((row) => [row.code, row.names]))
  return (code) => nameIn(names.get(code), language, code)
}

const signs = { kept: '●', late: '▲', silent: '■', simulated: '◇', none: '○' }
const statuses = { kept: 'on_course', late: 'at_risk', silent: 'off_course', simulated: 'none', none: 'none' }

// Sources are the expected senders against their promise of freshness.
export function Sources({ senders, query, onAsk }: { senders: Sender[] | undefined; query: Query; onAsk: ((source: string) => void) | undefined }) {
  const said = useWordsOf(words)
  const all = useWords()
  const { language, zone } = useVoice()
  const owner = useOwner()
  if (query.isError) return <Failure error={query.error} again={() => void query.refetch()} />
  if (!senders) return <Skeleton rows={8} kind="row" />
  if (senders.length === 0) return <Empty title={said.sourcesNone} />
  const now = Date.now()
  const span = (seconds: number) => {
    const { unit, n } = age(seconds)
    return fill(said[unit], { n: number(n, language) }).replaceAll(' ', '\u00a0')
  }
  const since = (s: Sender) => (s.newest ? Math.max(0, (now - Date.parse(s.newest)) / 1000) : null)
  const columns: Column<Sender>[] = [
    { key: 'source', title: said.source, order: (s) => nameIn(s.source.title, language, s.source.source), cell: (s) => <>{nameIn(s.source.title, language, s.source.source)}<span className="under">{owner(s.source.owner)}</span></> },
    { key: 'state', title: said.state, order: (s) => ['silent', 'late', 'simulated', 'none', 'kept'].indexOf(s.state), cell: (s) => <span className={`status ${statuses[s.state]}`}><span aria-hidden="true">{signs[s.state]}</span> {said.states[s.state]}</span> },
    {
      key: 'newest', title: said.newest, order: since,
      cell: (s) => {
        const seconds = since(s)
        if (seconds === null || !s.newest) return ''
        const times = s.source.promise_seconds > 0 ? seconds / s.source.promise_seconds : 0
        return (
          <span className="fresh" title={dayOfMoment(s.newest, zone, language)}>
            {shortDay(isoDayOfMoment(s.newest, zone), language)}
            <span className="under">{fill(said.ago, { age: span(seconds) })}{s.state === 'late' && times >= 2 && <> · {fill(said.over, { n: number(times, language) })}</>}</span>
          </span>
        )
      },
    },
    { key: 'promised', title: said.promised, minor: true, order: (s) => s.source.promise_seconds, cell: (s) => (s.source.promise_seconds > 0 ? fill(said.within, { age: span(s.source.promise_seconds) }) : said.states.none) },
    { key: 'events', title: said.events, number: true, minor: true, order: (s) => s.accepted + s.simulated, cell: (s) => <>{number(s.accepted, language)}{s.simulated > 0 && <span className="under">{number(s.simulated, language)} {all.simulatedShort}</span>}</> },
    { key: 'closings', title: said.closings, number: true, minor: true, order: (s) => s.closings, cell: (s) => (s.closings ? number(s.closings, language) : said.closingsNone) },
  ]
  if (onAsk) columns.push({ key: 'ask', title: said.letterColumn, cell: (s) => s.state !== 'kept' && s.state !== 'none' && <button type="button" className="ask" aria-label={`${said.ask}: ${nameIn(s.source.title, language, s.source.source)}`} onClick={() => onAsk(s.source.source)}>{said.ask}</button> })
  return (
    <section className="card">
      {senders.some((s) => s.state === 'simulated') && <p className="meta">{said.simulatedNote}</p>}
      <DataTable caption={said.tabs.sources} columns={columns} rows={senders} keyOf={(s) => s.source.source} stacked />
    </section>
  )
}

// Contracts say of every source and contract what came of its events.
export function Contracts({ rows, query, nameOf }: { rows: QualityRow[] | undefined; query: Query; nameOf: (id: string) => string }) {
  const said = useWordsOf(words)
  const all = useWords()
  const { language, zone } = useVoice()
  if (query.isError) return <Failure error={query.error} again={() => void query.refetch()} />
  if (!rows) return <Skeleton rows={8} kind="row" />
  const count = (key: string, title: string, of: (r: QualityRow) => number, minor = false): Column<QualityRow> => ({ key, title, number: true, minor, order: of, cell: (r) => <span className={of(r) > 0 && key !== 'accepted' && key !== 'duplicate' ? 'overdue' : undefined}>{number(of(r), language)}</span> })
  const columns: Column<QualityRow>[] = [
    { key: 'type', title: said.type, wide: true, order: (r) => r.type, cell: (r) => <>{r.type || said.codes.damaged}<span className="under">{nameOf(r.source)}{r.source.startsWith('simulation/') && <> · {all.simulatedShort}</>}</span></> },
    count('accepted', said.accepted, (r) => r.accepted), count('duplicate', said.duplicate, (r) => r.duplicate, true), count('conflict', said.conflict, (r) => r.conflict), count('rejected', said.rejected, (r) => r.rejected, true), count('damaged', said.damaged, (r) => r.damaged, true), count('held', said.quarantined, (r) => r.quarantine_open),
    { key: 'newest', title: said.newest, minor: true, order: (r) => r.last_event, cell: (r) => r.last_event && shortDay(isoDayOfMoment(r.last_event, zone), language) },
  ]
  return <section className="card"><DataTable caption={said.tabs.contracts} columns={columns} rows={rows.filter((r) => r.accepted + r.duplicate + r.conflict + r.rejected + r.damaged + r.quarantine_open + r.quarantine_replayed + r.quarantine_dismissed > 0)} keyOf={(r) => r.source + r.type} sort={{ key: 'accepted', down: true }} most={60} more={(n) => fill(said.more, { n })} /></section>
}
