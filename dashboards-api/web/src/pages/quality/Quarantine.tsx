import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { Fragment, type ReactNode, useId, useState } from 'react'
import { address, get, send } from '../../api/client'
import { useMay } from '../../api/me'
import type { components } from '../../api/schema'
import { dayOfMoment, isoDayOfMoment, shortDay } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Dialog } from '../../parts/Dialog'
import { Choose, useChange } from '../../parts/Filters'
import { Empty, Failure, Fault, NotOffered, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { type HeldDetail, type HeldEvent, type HeldEvents, refusalOf, valueOf } from './data'
import { words } from './words'

type Settled = components['schemas']['Settled']
type Fixed = components['schemas']['Fixed']

const states = ['open', 'replayed', 'dismissed'] as const
const codes = ['unknown_reference', 'rule_broken', 'conflict', 'damaged'] as const

// Quarantine lists the events that are kept aside; who may, mends them.
export function Quarantine({ nameOf, sources }: { nameOf: (id: string) => string; sources: [string, string][] }) {
  const said = useWordsOf(words)
  const { language, zone } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const [cursors, setCursors] = useState<string[]>([])
  const [open, setOpen] = useState<string>()
  const asked = { state: states.find((s) => s === search.status) ?? 'open', code: search.kind, source: search.source, cursor: cursors[cursors.length - 1], limit: '100' }
  const held = useQuery({ queryKey: ['quarantine', asked], queryFn: ({ signal }) => get<HeldEvents>(address('/v1/quarantine', asked as object), signal), placeholderData: keepPreviousData })
  const narrow = (part: object) => {
    setCursors([])
    change(part)
  }
  const columns: Column<HeldEvent>[] = [
    { key: 'code', title: said.code, order: (e) => e.code, cell: (e) => <>{said.codes[e.code]}<span className="under">{e.type}</span></> },
    { key: 'reason', title: said.reason, wide: true, cell: (e) => <Reasons faults={[e]} /> },
    { key: 'source', title: said.source, minor: true, order: (e) => nameOf(e.source), cell: (e) => nameOf(e.source) },
    { key: 'held', title: said.held, order: (e) => e.held_at, cell: (e) => shortDay(isoDayOfMoment(e.held_at, zone), language) },
    { key: 'state', title: said.state, minor: true, cell: (e) => <>{said.entryStates[e.state]}{e.by && <span className="under">{fill(said.by, { name: e.by })}</span>}</> },
    { key: 'show', title: said.show, cell: (e) => <button type="button" aria-label={`${said.show}: ${said.codes[e.code]}, ${e.id}`} onClick={() => setOpen(e.id)}>{said.show}</button> },
  ]
  return (
    <section className="card">
      <NotOffered part="status" value={search.status} options={states.map((s) => [s, said.entryStates[s]])} />
      <NotOffered part="kind" value={search.kind} options={codes.map((c) => [c, said.codes[c]])} />
      <div className="filters narrow">
        <Choose label={said.state} value={asked.state} options={states.map((s): [string, string] => [s, said.entryStates[s]])} onChange={(v) => narrow({ status: v === 'open' ? undefined : v })} />
        <Choose label={said.code} value={search.kind ?? ''} options={[['', said.all], ...codes.map((c): [string, string] => [c, said.codes[c]])]} onChange={(v) => narrow({ kind: v || undefined })} />
        <Choose label={said.source} value={search.source ?? ''} options={[['', said.all], ...sources]} onChange={(v) => narrow({ source: v || undefined })} />
      </div>
      {held.isError ? <Failure error={held.error} again={() => void held.refetch()} /> : !held.data ? <Skeleton rows={6} kind="row" /> : held.data.entries.length === 0 ? (
        <Empty title={said.quarantineNone}><p>{said.quarantineNoneHint}</p></Empty>
      ) : (
        <div className={held.isPlaceholderData ? 'refreshing' : undefined}>
          <DataTable caption={said.tabs.quarantine} columns={columns} rows={held.data.entries} keyOf={(e) => e.id} />
          {(cursors.length > 0 || held.data.next) && (
            <p className="group more">
              <button type="button" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>{said.previous}</button>
              <button type="button" disabled={!held.data.next} onClick={() => setCursors([...cursors, held.data.next!])}>{said.next}</button>
            </p>
          )}
        </div>
      )}
      <Dialog open={open !== undefined} onClose={() => setOpen(undefined)} title={said.entry}>{open !== undefined && <Entry id={open} nameOf={nameOf} />}</Dialog>
    </section>
  )
}

// Reasons say what is wrong with an event, each with its field; in the door's own words, which are
// English, where these say more.
function Reasons({ faults }: { faults: { code: string; field: string; reason: string }[] }) {
  const said = useWordsOf(words)
  return faults.map((f, i) => {
    const { text, known } = refusalOf(f, said.refusals)
    return <Fragment key={i}>{i > 0 && ' '}{f.field && <code>{f.field}</code>} {text}{!known && <span lang="en"> {f.reason}</span>}</Fragment>
  })
}

// Entry is one event with its content, what is wrong with it today, and what can be done.
function Entry({ id, nameOf }: { id: string; nameOf: (id: string) => string }) {
  const said = useWordsOf(words)
  const { language, zone } = useVoice()
  const may = useMay()
  const client = useQueryClient()
  const [outcome, tell] = useState<ReactNode>('')
  const [note, setNote] = useState('')
  const [value, setValue] = useState('')
  const [busy, setBusy] = useState(false)
  const noteId = useId()
  const valueId = useId()
  const entry = useQuery({ queryKey: ['held', id], queryFn: ({ signal }) => get<HeldDetail>(`/v1/quarantine/${id}`, signal) })
  if (entry.isError) return <Failure error={entry.error} again={() => void entry.refetch()} />
  const e = entry.data
  if (!e) return <Skeleton rows={4} kind="row" />
  const open = e.state === 'open'
  const field = e.faults.find((f) => f.field && !e.persons.includes(f.field))?.field ?? (e.persons.includes(e.field) ? '' : e.field)
  const run = async (work: () => Promise<ReactNode>) => {
    setBusy(true)
    try {
      tell(await work())
      await Promise.all([client.invalidateQueries({ queryKey: ['held', id] }), client.invalidateQueries({ queryKey: ['quarantine'] }), client.invalidateQueries({ queryKey: ['status'] })])
    } catch (error) {
      tell(<Fault error={error} />)
    }
    setBusy(false)
  }
  const settle = (what: 'replay' | 'dismiss', more: object = {}) =>
    run(async () => {
      const s = await send<Settled>('POST', `/v1/quarantine/${what}`, { ids: [id], ...(note ? { note } : {}), ...more })
      return s.refusals[0] ? <>{said.stays} <Reasons faults={s.refusals.slice(0, 1)} /></> : what === 'replay' ? said.replayed : said.dismissed
    })
  return (
    <div className="entry">
      <dl className="facts">
        <div><dt>{said.code}</dt><dd>{said.codes[e.code]}: <Reasons faults={[e]} /></dd></div>
        <div><dt>{said.type}</dt><dd>{e.type} · {nameOf(e.source)}</dd></div>
        <div><dt>{said.happened}</dt><dd>{dayOfMoment(e.time, zone, language)}</dd></div>
        <div><dt>{said.held}</dt><dd>{dayOfMoment(e.held_at, zone, language)} · {said.entryStates[e.state]}{e.by && ` · ${fill(said.by, { name: e.by })}`}{e.note && ` · ${e.note}`}</dd></div>
      </dl>
      {e.content && <details open><summary>{said.content}</summary><pre tabIndex={0}>{JSON.stringify(e.content, null, 2)}</pre></details>}
      {open && <p>{e.faults.length === 0 && e.code !== 'conflict' && e.code !== 'damaged' ? said.faultsNone : <>{said.faults}: <Reasons faults={e.faults.length ? e.faults : [e]} /></>}</p>}
      {open && field && may('POST /v1/quarantine/{id}/fix') && (
        <form className="fix" onSubmit={(event) => {
          event.preventDefault()
          void run(async () => {
            const fixed = await send<Fixed>('POST', `/v1/quarantine/${id}/fix`, { set: { [field]: valueOf(value) } })
            return fixed.applied ? said.applied : <>{said.notApplied} <Reasons faults={fixed.faults} /></>
          })
        }}>
          <label htmlFor={valueId}>{fill(said.fix, { field })}</label>
          <input id={valueId} value={value} onChange={(event) => setValue(event.target.value)} />
          <button type="submit" disabled={busy}>{said.apply}</button>
        </form>
      )}
      {open && (
        <div className="fix">
          <label htmlFor={noteId}>{said.note}</label>
          <input id={noteId} value={note} maxLength={2000} onChange={(event) => setNote(event.target.value)} />
          {may('POST /v1/quarantine/replay') && e.code !== 'damaged' && <button type="button" disabled={busy} onClick={() => void settle('replay', e.code === 'conflict' ? { as: 'correction' } : {})}>{e.code === 'conflict' ? said.replayAs : said.replay}</button>}
          {may('POST /v1/quarantine/dismiss') && <button type="button" disabled={busy} onClick={() => (note.trim() ? void settle('dismiss') : tell(said.noteNeeded))}>{said.dismiss}</button>}
        </div>
      )}
      <div role="status" className="outcome">{outcome}</div>
    </div>
  )
}
