import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { get, type QueryToSave, type Run, type Runs, type SavedQueries, type SavedQuery, send } from '../../api/client'
import { useMe } from '../../api/me'
import { moment, number } from '../../format'
import { DataTable } from '../../parts/DataTable'
import { Dialog } from '../../parts/Dialog'
import { Empty, Failure, Fault, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { words } from './words'

const queriesPath = '/v1/workbench/queries'
const useMoment = () => {
  const { language, zone } = useVoice()
  return (at: string) => moment(at, zone, language)
}

// Saved are the queries that one may see.
export function Saved({ onOpen, onRemoved }: { onOpen: (query: SavedQuery) => void; onRemoved: (id: string) => void }) {
  const said = useWordsOf(words)
  const moment = useMoment()
  const me = useMe().data?.principal
  const client = useQueryClient()
  const list = useQuery({ queryKey: ['workbench', 'queries'], queryFn: ({ signal }) => get<SavedQueries>(queriesPath, signal) })
  const [going, ask] = useState<SavedQuery>()
  const remove = useMutation({
    mutationFn: (q: SavedQuery) => send('DELETE', `${queriesPath}/${encodeURIComponent(q.id)}`),
    onSuccess: (_, { id }) => {
      ask(undefined)
      onRemoved(id)
      void client.invalidateQueries({ queryKey: ['workbench', 'queries'] })
    },
  })
  if (list.isPending) return <Skeleton rows={4} kind="row" />
  if (list.isError) return <Failure error={list.error} again={() => void list.refetch()} />
  if (list.data.queries.length === 0) return <Empty title={said.noSaved}><p>{said.noSavedHow}</p></Empty>
  return (
    <>
      <DataTable caption={said.saved} rows={list.data.queries} keyOf={(q) => q.id}
        columns={[
          { key: 'title', title: said.name, wide: true, order: (q) => q.title, cell: (q) => <><button type="button" className="wb-open" onClick={() => onOpen(q)}>{q.title}</button>{q.description && <p className="wb-about">{q.description}</p>}</> },
          { key: 'sharing', title: said.sharing, minor: true, cell: (q) => said[q.sharing] },
          { key: 'owner', title: said.owner, order: (q) => q.owner_name, cell: (q) => q.owner_name },
          { key: 'changed', title: said.changed, minor: true, order: (q) => q.changed, cell: (q) => moment(q.changed) },
          { key: 'remove', title: '', cell: (q) => q.owner === me?.id && <button type="button" className="quiet" aria-label={`${said.remove}: ${q.title}`} onClick={() => ask(q)}>{said.remove}</button> },
        ]} />
      <Dialog open={going !== undefined} onClose={() => ask(undefined)} title={said.remove}>
        <p>{fill(said.removeSure, { title: going?.title ?? '' })}</p>
        {remove.isError && <Failure error={remove.error} again={() => going && remove.mutate(going)} />}
        <p className="group"><button type="button" onClick={() => going && remove.mutate(going)}>{said.remove}</button></p>
      </Dialog>
    </>
  )
}

// History are one's own runs.
export function History({ onOpen }: { onOpen: (run: Run) => void }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const moment = useMoment()
  const list = useQuery({ queryKey: ['workbench', 'runs'], queryFn: ({ signal }) => get<Runs>('/v1/workbench/runs', signal), staleTime: 0 })
  if (list.isPending) return <Skeleton rows={6} kind="row" />
  if (list.isError) return <Failure error={list.error} again={() => void list.refetch()} />
  if (list.data.runs.length === 0) return <Empty title={said.noHistory}><p>{said.noHistoryHow}</p></Empty>
  return (
    <DataTable caption={said.history} rows={list.data.runs} keyOf={(r) => r.id} most={25} more={(n) => fill(said.moreHistory, { n })}
      columns={[
        { key: 'sql', title: said.statement, wide: true, cell: (r) => <><button type="button" className="wb-open wb-sql" title={r.sql} onClick={() => onOpen(r)}>{r.sql.replace(/\s+/g, ' ').slice(0, 200)}</button>{r.problem && (r.words?.[language] ? <p className="wb-about" title={r.problem}>{r.words[language]}</p> : <p className="wb-about" lang="en">{r.problem}</p>)}</> },
        { key: 'state', title: said.state, order: (r) => r.state, cell: (r) => said[`${r.state}_`] },
        { key: 'rows', title: said.rows, number: true, order: (r) => r.rows, cell: (r) => number(r.rows, language) },
        { key: 'seconds', title: said.seconds, number: true, minor: true, order: (r) => r.seconds, cell: (r) => number(r.seconds, language, 2) },
        { key: 'read', title: said.readRows, number: true, minor: true, order: (r) => r.read_rows, cell: (r) => r.read_rows > 0 && number(r.read_rows, language) },
        { key: 'began', title: said.began, minor: true, order: (r) => r.began, cell: (r) => moment(r.began) },
      ]} />
  )
}

// SaveDialog saves a statement under a name, or the changes of one's own query.
export function SaveDialog({ open, onClose, query, sql, parameters, onSaved }: {
  open: boolean
  onClose: () => void
  query: SavedQuery | undefined // one's own that is changed; a new one when absent
  sql: string
  parameters: Record<string, string>
  onSaved: (query: SavedQuery) => void
}) {
  const said = useWordsOf(words)
  const me = useMe().data?.principal
  const client = useQueryClient()
  const save = useMutation({
    mutationFn: (body: QueryToSave) => (query ? send<SavedQuery>('PUT', `${queriesPath}/${encodeURIComponent(query.id)}`, { ...body, revision: query.revision }) : send<SavedQuery>('POST', queriesPath, body)),
    onSuccess: (saved) => {
      void client.invalidateQueries({ queryKey: ['workbench', 'queries'] })
      onSaved(saved)
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '')
    save.mutate({ title: text('title'), description: text('description'), sharing: text('sharing') as SavedQuery['sharing'], sql, parameters })
  }
  const sharings = (['private', 'agency', 'everybody'] as const).filter((s) => s !== 'agency' || me?.agency)
  return (
    <Dialog open={open} onClose={onClose} title={query ? said.saveChanges : said.save.replace(/ …$/, '')}>
      <form className="wb-form" onSubmit={submit}>
        <label htmlFor="wb-title">{said.name}</label>
        <input id="wb-title" name="title" required maxLength={200} defaultValue={query?.title} autoComplete="off" />
        <label htmlFor="wb-description">{said.description}</label>
        <textarea id="wb-description" name="description" rows={3} maxLength={4000} defaultValue={query?.description} />
        <label htmlFor="wb-sharing">{said.sharing}</label>
        <select id="wb-sharing" name="sharing" defaultValue={query?.sharing ?? 'private'}>{sharings.map((s) => <option key={s} value={s}>{said[s]}</option>)}</select>
        {save.isError && <Fault error={save.error} />}
        <p className="group"><button type="submit" disabled={save.isPending}>{query ? said.saveChanges : said.save.replace(/ …$/, '')}</button></p>
      </form>
    </Dialog>
  )
}
