import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { ApiError, type Estimate, get, type Kpi, type Run, type SavedQuery, send, type WorkbenchSchema } from '../../api/client'
import { useMay, useMe } from '../../api/me'
import { amount, number, short } from '../../format'
import { Page } from '../../parts/Page'
import { Empty, Failure } from '../../parts/States'
import { Tabs } from '../../parts/Tabs'
import type { Search } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { Chart } from './Chart'
import { Editor, type Handle } from './Editor'
import { Grid } from './Grid'
import { History, SaveDialog, Saved } from './Kept'
import { type Running, useRun } from './run'
import { lineOf, parameters, unfilled } from './statement'
import './style.css'
import { Tables } from './Tables'
import { words } from './words'

const example = 'SELECT name, comment\nFROM system.tables\nWHERE database = currentDatabase()\nORDER BY name'
const formats = ['csv', 'xlsx', 'parquet', 'arrow', 'json'] as const

// What was written stays while the browser's tab does, and no longer: a statement may tell of people.
const draftKey = 'ombor.statement'
const draft = () => {
  try {
    return sessionStorage.getItem(draftKey)
  } catch {
    return null // storage is off
  }
}
const keepDraft = (text: string) => {
  try {
    sessionStorage.setItem(draftKey, text)
  } catch {
    // Storage is off.
  }
}

export default function WorkbenchPage() {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { query: saved, tab } = useSearch({ from: '__root__' })
  const navigate = useNavigate()
  const client = useQueryClient()
  const me = useMe().data?.principal
  const may = useMay()
  const schema = useQuery({ queryKey: ['workbench', 'schema'], queryFn: ({ signal }) => get<WorkbenchSchema>('/v1/workbench/schema', signal) })
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal) })
  const names = useMemo(() => (kpis.data?.kpis ?? []).map((k) => ({ id: k.id, title: nameIn(k.title, language, k.id) })), [kpis.data, language])

  const editor = useRef<Handle>(null)
  const [text, setText] = useState(() => draft() ?? example)
  const [values, setValues] = useState<Record<string, string>>({})
  const [saving, setSaving] = useState(false)
  const [told, tell] = useState('') // why what was asked for was not done
  const box = useRef<HTMLFieldSetElement>(null)
  const places = useMemo(() => parameters(text), [text])
  const given = useMemo(() => Object.fromEntries(places.map((p) => [p.name, values[p.name] ?? ''])), [places, values])

  const open = useQuery({ queryKey: ['workbench', 'query', saved], queryFn: ({ signal }) => get<SavedQuery>(`/v1/workbench/queries/${encodeURIComponent(saved!)}`, signal), enabled: saved !== undefined })
  const gone = open.error instanceof ApiError && open.error.status === 404 // also what was read before it was removed
  const kept = gone ? undefined : open.data
  const shown = useRef<string>(undefined)
  useEffect(() => {
    if (!open.data || !schema.data || shown.current === open.data.id) return // the editor comes with the schema
    shown.current = open.data.id
    editor.current?.replace(open.data.sql)
    setValues(open.data.parameters)
  }, [open.data, schema.data])
  const mine = kept && kept.owner === me?.id ? kept : undefined

  const onEnd = useCallback(() => void client.invalidateQueries({ queryKey: ['workbench', 'runs'] }), [client])
  const { running, start, cancel } = useRun(said.lost, onEnd)
  const busy = running !== undefined && running.end === undefined
  const go = (search: Partial<Search>) => void navigate({ to: '.', search: (old: Search) => ({ ...old, ...search }), replace: true, resetScroll: false })
  const run = () => {
    const sql = editor.current?.text() ?? text
    const empty = unfilled(parameters(sql), values)
    tell(empty.length ? fill(said.unfilled, { names: empty.map((p) => p.name).join(', ') }) : '')
    if (empty.length) return box.current?.querySelector<HTMLInputElement>(`#place-${empty[0]!.name}`)?.focus()
    go({ tab: tab === 'chart' ? tab : undefined })
    void start({ sql, parameters: Object.fromEntries(parameters(sql).map((p) => [p.name, values[p.name] ?? ''])), query: kept?.id })
  }
  const estimate = useMutation({ mutationFn: () => send<Estimate>('POST', '/v1/workbench/estimates', { sql: text, parameters: given }) })
  const format = async () => {
    const { formatDialect, clickhouse } = await import('sql-formatter')
    try {
      editor.current?.replace(formatDialect(text, { dialect: clickhouse, tabWidth: 4, expressionWidth: 100, paramTypes: { custom: [{ regex: String.raw`\{\s*\w+\s*:[^}]*\}` }] } }))
      tell('')
    } catch {
      tell(said.notFormatted) // it stays as it is
    }
  }
  const put = (sql: string, with_: Record<string, string> = {}) => {
    editor.current?.replace(sql)
    setValues(with_)
  }

  return (
    <Page title={kept?.title ?? said.title} tab={said.title} summary={[kept?.description || fill(said.summary, { database: schema.data?.database ?? 'ombor' }), kept && !mine && fill(said.savedBy, { name: kept.owner_name })].filter(Boolean).join(' ')} query={schema}>
      {gone ? (
        <p className="notice" role="status">{fill(said.savedGone, { id: short(saved ?? '') })} <Link to="." search={(old: Search) => ({ ...old, query: undefined, tab: 'saved' })}>{said.saved}</Link></p>
      ) : open.isError && <Failure error={open.error} again={() => void open.refetch()} />}
      <div className="wb">
        <div className="wb-main">
          <div className="wb-bar group">
            {busy
              ? <button type="button" className="primary" onClick={cancel}>{said.cancel}</button>
              : <button type="button" className="primary" onClick={run}>{said.run} <kbd aria-hidden="true">Ctrl ↵</kbd></button>}
            <button type="button" onClick={() => void format()}>{said.format}</button>
            {may('POST /v1/workbench/estimates') && <button type="button" onClick={() => estimate.mutate()}>{said.estimate}</button>}
            <button type="button" onClick={() => setSaving(true)}>{mine ? said.saveChanges : said.save}</button>
            {saved && <button type="button" className="quiet" onClick={() => { shown.current = undefined; go({ query: undefined }) }}>{said.fresh}</button>}
          </div>
          <Editor ref={editor} label={said.statement} initial={text} schema={schema.data} kpis={names} onRun={run}
            onChange={(now) => {
              setText(now)
              tell('')
              keepDraft(now)
            }} />
          {places.length > 0 && (
            <fieldset ref={box} className="wb-places">
              <legend>{said.parameters}</legend>
              {places.map((p) => (
                <div key={p.name} className="filter">
                  <label htmlFor={`place-${p.name}`}>{p.name}</label>
                  <input id={`place-${p.name}`} value={values[p.name] ?? ''} placeholder={p.type} type={p.type === 'Date' ? 'date' : 'text'} required={unfilled([p], {}).length > 0} onChange={(e) => setValues({ ...values, [p.name]: e.target.value })} />
                </div>
              ))}
            </fieldset>
          )}
          <div aria-live="polite">
            {told && <p className="problem">{told}</p>}
            {estimate.isError && <div className="problem"><Refusal message={estimate.error.message} words={estimate.error instanceof ApiError ? estimate.error.words : {}} /></div>}
            {estimate.data && !estimate.isError && <p className="wb-note">{nameIn(estimate.data.words, language)}</p>}
          </div>
          <Tabs label={said.results} open={tab} onOpen={(key) => go({ tab: key === 'result' ? undefined : key })} tabs={[
            { key: 'result', title: said.result, body: <Result running={running} /> },
            { key: 'chart', title: said.chart, body: running?.columns.length ? <Chart key={running.id} columns={running.columns} rows={running.rows} /> : <NotRun /> },
            { key: 'saved', title: said.saved, body: <Saved onOpen={(q) => { shown.current = undefined; go({ query: q.id, tab: undefined }) }} onRemoved={(id) => id === saved && go({ query: undefined })} /> },
            { key: 'history', title: said.history, body: <History onOpen={(r: Run) => put(r.sql, r.parameters)} /> },
          ]} />
        </div>
        {schema.data && <Tables schema={schema.data} onName={(name) => editor.current?.insert(name)} onAsk={(table) => put(`SELECT *\nFROM ${table}\nLIMIT 100`)} />}
      </div>
      <SaveDialog key={`${mine?.id ?? ''} ${mine?.revision ?? 0}`} open={saving} onClose={() => setSaving(false)} query={mine} sql={text} parameters={given} onSaved={(q) => {
        setSaving(false)
        shown.current = q.id
        client.setQueryData(['workbench', 'query', q.id], q)
        go({ query: q.id })
      }} />
    </Page>
  )
}

function NotRun() {
  const said = useWordsOf(words)
  return <Empty title={said.notRun}><p>{said.notRunHow}</p></Empty>
}

// Refusal is what to do about a statement that was not carried out, above the engine's own words,
// which are English. What has no words in English is not the engine's: it says the same.
function Refusal({ message, words }: { message: string; words: Record<string, string> }) {
  const { language } = useVoice()
  const told = words[language]
  const line = lineOf(message)
  return (
    <>
      {told && <p>{told}</p>}
      {(!told || words.en) && <p className="wb-error" lang={told && 'en'}>{line && <b>{line}: </b>}{message}</p>}
    </>
  )
}

// Result is how far the statement has come, its rows, and how to take all of them.
function Result({ running }: { running: Running | undefined }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  if (!running) return <NotRun />
  const { end, error, columns, rows } = running
  const seconds = number(running.seconds, language, 2)
  const share = running.totalRows > 0 ? Math.min(1, running.readRows / running.totalRows) : undefined
  return (
    <div className="wb-result">
      <div role="status" className="wb-state">
        {!end && (
          <>
            <progress max={1} {...(share === undefined ? {} : { value: share })} aria-label={said.run} />
            <span>{fill(said.running, { seconds, read: running.readRows > 0 ? fill(said.read, { read: number(running.readRows, language) }) : '', share: share === undefined ? '' : fill(said.shareRead, { percent: amount(share * 100, 'percent', language, labels) }) })}</span>
          </>
        )}
        {end?.state === 'done' && <span>{fill(said.done, { rows: number(rows.length, language), seconds, read: running.readRows > 0 ? fill(said.read, { read: number(running.readRows, language) }) : '' })}</span>}
        {end?.state === 'cancelled' && <span>{said.cancelled}</span>}
        {end?.state === 'cut' && <span className="status at_risk"><span aria-hidden="true">▲ </span>{fill(said.cut, { rows: number(rows.length, language) })}</span>}
      </div>
      {end && end.state !== 'done' && end.state !== 'cut' && end.state !== 'cancelled' && (
        <section className="failure" role="alert"><h2>{said.failed}</h2>{error && <Refusal {...error} />}</section>
      )}
      {columns.length > 0 && rows.length > 0 && <Grid columns={columns} rows={rows} label={said.result} />}
      {end?.state === 'done' && rows.length === 0 && <p className="wb-note">{said.noRows}</p>}
      {end && (end.state === 'done' || end.state === 'cut') && running.id && columns.length > 0 && (
        <div className="group wb-take">
          <span>{said.export}</span>
          {formats.map((f) => <a key={f} className="button" href={`/v1/workbench/runs/${encodeURIComponent(running.id!)}/export?format=${f}`}>{f.toUpperCase()}</a>)}
          <small>{said.exportHint} {said.internal}.</small>
        </div>
      )}
    </div>
  )
}
