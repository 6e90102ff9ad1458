import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useId, useState } from 'react'
import { address, get, type Kpi, send, type Values } from '../../api/client'
import { useMay, useMe } from '../../api/me'
import type { components } from '../../api/schema'
import { wasText } from '../../charts/was'
import type { Voice } from '../../finding'
import { cellText, day, dayOfMoment, period } from '../../format'
import { capital, type Days, disputeOf, disputeText, type Replies, replierOf, type Reply } from '../../parts/Disputed'
import { Fault } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, personName, useWordsOf, wordsOf } from '../../words'
import style from './style.module.css'
import { kpiWords, words as allWords } from './words'

export type Answer = Replies
type NewReply = components['schemas']['NewReply']

// rowOf is the row that a figure is of, as a reply names it: the whole, or one value of one
// dimension. Undefined for a figure that has no replies: of several values or dimensions.
export function rowOf(values: Pick<Values, 'where'>): Record<string, string> | undefined {
  const list = Object.entries(values.where)
  if (list.length > 1 || list.some(([, codes]) => codes.length !== 1)) return undefined
  return Object.fromEntries(list.map(([by, codes]) => [by, codes[0]!]))
}

const alike = (a: Record<string, string>, b: Record<string, string>) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort())

export function useReplies(kpi: Kpi, values: Values | undefined) {
  const may = useMay()
  const question = { kpi: kpi.id, from: values?.from ?? undefined, to: values?.to ?? undefined }
  return useQuery({ queryKey: ['replies', question], queryFn: ({ signal }) => get<Answer>(address('/v1/replies', question), signal), enabled: may('GET /v1/replies') && values !== undefined })
}

// ofFigure are the replies that stand to exactly the figure that is shown.
export const ofFigure = (replies: Reply[], values: Values) => {
  const row = rowOf(values)
  return row ? replies.filter((r) => r.state !== 'withdrawn' && alike(r.where, row)) : []
}

// besideIn are the sentences that belong to the figure wherever it is told: what it was before it was
// corrected, and who disputes it for exactly its days, or for others that are told of it.
export function besideIn(values: Values, answer: Answer | undefined, voice: Voice, ...others: Days[]): string[] {
  const said = kpiWords(voice.language)
  const cell = values.cells[0]
  const where = Object.entries(values.where).flatMap(([by, codes]) => codes.map((code) => `${by}=${code}`))
  const disputes = new Set([values, ...others].flatMap((days) => disputeOf(answer, values.kpi, days, where) ?? []))
  return [
    ...(cell?.corrected ? [fill(said.correctedOn, { day: day(cell.corrected, voice.language), value: wasText(cell, values.unit, voice, '{value}') })] : []),
    ...[...disputes].map((reply) => disputeText(reply, answer!, voice)),
  ]
}

// Disputed says beside the figure that somebody answered for it or disputes it.
export function Disputed({ answer, values }: { answer: Answer; values: Values }) {
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const newest = ofFigure(answer.replies, values)[0]
  if (!newest) return null
  const text = newest.state === 'dispute' ? disputeText(newest, answer, voice) : fill(said.answered, { who: replierOf(newest, answer, voice), day: dayOfMoment(newest.at, voice.zone, voice.language) })
  return <p className={`status ${newest.state === 'dispute' ? 'off_course' : 'open'}`}><a href="#replies"><span aria-hidden="true">{newest.state === 'dispute' ? '■' : '○'}</span> {text}</a></p>
}

// Replies are what owners say of the figure, dated, and the form by which one who may says it.
export function Replies({ kpi, values, answer }: { kpi: Kpi; values: Values | undefined; answer: Answer | undefined }) {
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const may = useMay()
  const me = useMe().data?.principal
  const client = useQueryClient()
  const [open, setOpen] = useState(false)
  const row = values && rowOf(values)
  const withdraw = useMutation({ mutationFn: (id: string) => send('POST', `/v1/replies/${encodeURIComponent(id)}/withdraw`), onSuccess: () => client.invalidateQueries({ queryKey: ['replies'] }) })
  if (!answer) return null
  // The owner answers for the whole, an agency for its own row; the center for every figure.
  const anybody = me?.roles.some((r) => r === 'center' || r === 'operator') ?? false
  const speaks = anybody || (me?.agency !== undefined && row !== undefined && (Object.keys(row).length === 0 ? kpi.owner === me.agency : Object.values(row)[0] === me.agency))
  const writes = may('POST /v1/replies') && speaks && row !== undefined && values?.from && values.to && values.known_on === null
  return (
    <div id="replies">
      <h3>{said.replies}</h3>
      {answer.replies.length === 0 && <p>{said.repliesNone}</p>}
      <ul className={style.replies}>
        {answer.replies.map((r) => {
          const who = replierOf(r, answer, voice)
          return (
            <li key={r.id} className={r.state === 'withdrawn' ? style.withdrawn : undefined}>
              <p className={`status ${r.state === 'dispute' ? 'off_course' : 'open'}`}>
                <span aria-hidden="true">{r.state === 'dispute' ? '■' : '○'}</span> {fill(said.replyHead, { who: capital(who), state: said.replyStates[r.state], day: dayOfMoment(r.at, voice.zone, voice.language) })}
              </p>
              <blockquote lang={r.language}>{r.text}</blockquote>
              <p className="meta">
                {personName(r.name, wordsOf(voice.language))} · {fill(said.replyFigure, { period: period(`${r.from}/${r.to}`, voice.language), value: cellText({ ...r.figure, period: '', open: false } as never, r.figure.unit, voice.language, voice.labels) })}
                {Object.entries(r.where).map(([by, code]) => ` · ${nameIn(values?.names?.[by]?.[code], voice.language, code)}`)}
                {r.state !== 'withdrawn' && may('POST /v1/replies/{id}/withdraw') && (anybody || r.agency === me?.agency) && (
                  <> · <button type="button" className="quiet" disabled={withdraw.isPending} onClick={() => withdraw.mutate(r.id)}>{said.withdraw}</button></>
                )}
              </p>
            </li>
          )
        })}
      </ul>
      {withdraw.isError && <Fault error={withdraw.error} />}
      {writes && (open
        ? <Form kpi={kpi} row={row} from={values.from!} to={values.to!} close={() => setOpen(false)} />
        : <button type="button" onClick={() => setOpen(true)}>{said.reply}</button>)}
    </div>
  )
}

function Form({ kpi, row, from, to, close }: { kpi: Kpi; row: Record<string, string>; from: string; to: string; close: () => void }) {
  const said = useWordsOf(allWords)
  const { language } = useVoice()
  const client = useQueryClient()
  const id = useId()
  const [state, setState] = useState<NewReply['state']>('answer')
  const [text, setText] = useState('')
  const give = useMutation({
    mutationFn: (reply: NewReply) => send<Reply>('POST', '/v1/replies', reply),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['replies'] })
      close()
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    give.mutate({ kpi: kpi.id, from, to, state, text: text.trim(), language: language as NewReply['language'], ...(Object.keys(row).length ? { where: row } : {}) })
  }
  return (
    <form className={style.reply} onSubmit={submit}>
      <fieldset>
        <legend>{said.replyKind}</legend>
        {(['answer', 'dispute'] as const).map((s) => (
          <label key={s}><input type="radio" name={id} checked={state === s} onChange={() => setState(s)} /> {s === 'answer' ? said.replyExplain : said.replyDispute}</label>
        ))}
      </fieldset>
      <label htmlFor={`${id}text`}>{said.replyText}</label>
      <textarea id={`${id}text`} required minLength={10} maxLength={4000} rows={4} value={text} onChange={(e) => setText(e.target.value)} />
      {give.isError && <Fault error={give.error} />}
      <span className="group"><button type="submit" disabled={give.isPending}>{said.replySend}</button> <button type="button" className="quiet" onClick={close}>{said.replyCancel}</button></span>
    </form>
  )
}
