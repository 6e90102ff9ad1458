import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { useEffect, useMemo, useState } from 'react'
import { address, ApiError, type Change, type Changes, get, type Scorecard, type ScorecardRow } from '../../api/client'
import { useMay } from '../../api/me'
import { useSince } from '../../api/since'
import { boundText, changeText, type Voice } from '../../finding'
import { amount, cellText, day, dayOfMoment, difference, number, period } from '../../format'
import { Disputed, disputeOf, disputeText, type Replies, useDisputes } from '../../parts/Disputed'
import { gapText, Status } from '../../parts/Figures'
import { useChange } from '../../parts/Filters'
import { printWhole } from '../../parts/Later'
import { Page } from '../../parts/Page'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf, wordsOf } from '../../words'
import { askedOf, inOrder } from './order'
import css from './style.module.css'
import { words } from './words'

type Said = (typeof words)['en']

const most = 5
const few = 20 // so many stand beside the five; more stand below them

// MondayPage is one sheet: what has changed since the reader looked, the five that matter most
// told in full, each with its owner.
export default function MondayPage() {
  const said = useWordsOf(words)
  const voice = useVoice()
  const asked = useSearch({ from: '__root__' }).since
  const write = useChange()
  const { since, first, changes, query } = useSince(asked)
  const [copied, setCopied] = useState(false)
  const mays = useMay()
  const may = mays('GET /v1/changes')
  const disputes = useDisputes()
  // How the targets stand is asked as the scorecard does.
  const question = { from: undefined, to: undefined, where: undefined, lang: voice.language }
  const card = useQuery({ queryKey: ['scorecard', question], queryFn: ({ signal }) => get<Scorecard>(address('/v1/scorecard', question), signal), enabled: may && mays('GET /v1/scorecard'), placeholderData: keepPreviousData })
  const rows = card.data?.rows
  const told = useMemo(() => (changes ? inOrder(changes.changes, rows) : []), [changes, rows])
  const rowOf = useMemo(() => new Map(rows?.map((row) => [row.kpi, row])), [rows])
  const ready = changes !== undefined && !card.isLoading
  const from = since ? day(since, voice.language) : ''
  const changed = changes?.changes.length ?? 0
  const all = changed + (changes?.unchanged ?? 0)
  const title = !changes ? said.waiting : fill(changed ? said.title : said.nothing, { n: changed, all, day: from })
  if (!may) return <Page title={said.waiting} tab={said.tab}><Failure error={new ApiError(403, '')} again={() => undefined} /></Page>
  return (
    <Page title={title} tab={said.tab} query={{ ...query, isPending: query.isPending || card.isLoading, refetch: query.refetch }} simulated={changes?.simulated}
      summary={asked ? said.asked : first ? said.first : fill(said.looked, { day: from })}
      filters={
        <label className="filter">
          <span>{said.since}</span>
          <input type="date" key={since} defaultValue={since} max={new Date().toISOString().slice(0, 10)} onChange={(event) => event.target.value && write({ since: event.target.value })} />
        </label>
      }
      actions={changed > 0 && (
        <>
          <button type="button" onClick={() => void printWhole()}>{said.print}</button>
          <button type="button" onClick={() => void navigator.clipboard.writeText(sheetText(title, told, rowOf, changes!, disputes, said, voice)).then(() => setCopied(true))}>{copied ? said.copied : said.copy}</button>
        </>
      )}
      waiting={<><Skeleton rows={5} kind="row" /><Slow day={from} /></>}>
      {ready && (changed === 0 ? <Nothing all={all} /> : (
        <div className={changed > few ? `${css.sheet} ${css.long}` : css.sheet}>
          <section aria-labelledby="five">
            <h2 id="five">{said.five}</h2>
            <ol className={css.five}>{told.slice(0, most).map((c) => <Told key={c.kpi} change={c} row={rowOf.get(c.kpi)} changes={changes} />)}</ol>
          </section>
          {changed > most && (
            <section aria-labelledby="rest" className={css.rest}>
              <h2 id="rest">{said.rest}</h2>
              <ul>
                {told.slice(most).map((c) => (
                  <li key={c.kpi}><Link to="/kpis/$id" params={{ id: c.kpi }} search={({ lang }) => ({ lang })} className="name">{nameIn(c.title, voice.language, c.kpi)}</Link> <span className="number">{step(c, said, voice)} <Disputed kpi={c.kpi} cell={c.now} /></span></li>
                ))}
              </ul>
            </section>
          )}
          <p className="caption">{ofWhat(changes, said, voice)} {said.rule}</p>
        </div>
      ))}
    </Page>
  )
}

// ofWhat says which days the figures are of, and how far the data reach.
function ofWhat(changes: Changes, said: Said, voice: Voice): string {
  const shared = wordsOf(voice.language)
  const through = changes.data_through ? fill(shared.through, { day: dayOfMoment(changes.data_through, voice.zone, voice.language) }) : shared.noData
  return changes.from || changes.to ? fill(said.sheet, { period: period(`${changes.from ?? ''}/${changes.to ?? ''}`, voice.language), through }) : `${through}.`
}

const patience = 3000 // ms: what takes no longer needs no word

// Slow says, when the answer takes long, what is being done: each figure is reckoned as it was known then.
function Slow({ day }: { day: string }) {
  const said = useWordsOf(words)
  const [slow, setSlow] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), patience)
    return () => clearTimeout(timer)
  }, [])
  return <p className="meta" role="status">{slow && fill(said.slow, { day })}</p>
}

function Told({ change, row, changes }: { change: Change; row: ScorecardRow | undefined; changes: Changes }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const target = askedOf(row)
  const trend = change.was === null ? row?.trend : change.trend // of a new figure: against the period before
  const judged = trend === 'better' || trend === 'worse' ? trend : undefined
  return (
    <li>
      <div>
        <h3><Link to="/kpis/$id" params={{ id: change.kpi }} search={({ lang }) => ({ lang })} className="name">{nameIn(change.title, voice.language, change.kpi)}</Link></h3>
        {target && <p><Status target={target} /> · {standing(target, change.unit, voice)}</p>}
        {reasons(change, said, voice).map((reason) => <p key={reason}>{reason}</p>)}
        <p className={css.owner}>{said.owner}: <b>{nameIn(changes.owners[change.owner], voice.language, change.owner)}</b></p>
      </div>
      <p className={css.figures}>
        <span className="figure">{change.now ? cellText(change.now, change.unit, voice.language, voice.labels) : '—'}</span>
        <span className={judged && css[judged]}>{[moved(change, voice), judged && said[judged]].filter(Boolean).join(' · ')}</span>
        <span>{change.was !== null ? step(change, said, voice) : (change.now && changeText(change.now, change.unit, voice)) || said.isNew}</span>
        <Disputed kpi={change.kpi} cell={change.now} />
      </p>
    </li>
  )
}

// standing is how a figure stands to what an act asks of it.
function standing(target: NonNullable<ReturnType<typeof askedOf>>, unit: string, voice: Voice): string {
  const shared = wordsOf(voice.language)
  const due = target.due && target.due_stated ? fill(shared.due, { day: day(target.due, voice.language) }) : shared.dueNotStated
  return [`${shared.target}: ${boundText(target, unit, voice)}`, gapText(target, unit, voice.language, shared), due].filter(Boolean).join(' · ')
}

const measured = (cell: Change['now']) => cell !== null && cell.value !== null

function moved(change: Change, voice: Voice): string {
  if (!change.difference) return ''
  return `${change.difference > 0 ? '↗ +' : '↘ −'}${difference(change.difference, change.unit, voice.language, voice.labels)}`
}

// step is the figure as it was known and as it is known now.
function step(change: Change, said: Said, voice: Voice): string {
  const text = (cell: Change['now']) => (cell ? cellText(cell, change.unit, voice.language, voice.labels) : '—')
  if (change.was === null || (!measured(change.was) && measured(change.now))) return fill(said.newFigure, { now: text(change.now) })
  return fill(said.was, { was: text(change.was), now: text(change.now) })
}

// reasons are what is known of why: a target's verdict, months that have another figure, rows
// that came late or were taken back.
function reasons(change: Change, said: Said, voice: Voice): string[] {
  const shared = wordsOf(voice.language)
  // What was not measured before has no verdict to tell of: how the target stands is told beside it.
  const list: string[] = change.targets.filter((t) => t.was !== 'unmeasured').map((t) => fill(said.verdict, { wording: nameIn(t.wording_names, voice.language, t.wording), status: shared.status[t.status], was: shared.status[t.was as keyof typeof shared.status] ?? t.was }))
  const known = change.settled.filter((r) => r.was !== null)
  if (known.length) {
    const value = (v: number | null, state: string) => (v === null ? (shared.state[state as keyof typeof shared.state] ?? state) : amount(v, change.unit, voice.language, voice.labels))
    const told = known.slice(-2).map((r) => fill(said.month, { period: period(r.period, voice.language), was: value(r.was, r.was_state), now: value(r.now, r.now_state) }))
    if (known.length > told.length) told.push(fill(said.more, { n: known.length - told.length }))
    list.push(fill(said.months, { n: known.length, list: told.join(', ') }) + '.')
  }
  // Of a figure that is new all rows have come since.
  const rows = measured(change.was) ? [change.late && fill(said.late, { n: number(change.late, voice.language) }), change.corrected && fill(said.corrected, { n: number(change.corrected, voice.language) })].filter(Boolean) : []
  if (rows.length) list.push(rows.join('. ') + '.')
  return list
}

// sheetText is the sheet as it is read aloud or sent.
function sheetText(title: string, told: Change[], rowOf: Map<string, ScorecardRow>, changes: Changes, disputes: Replies | undefined, said: Said, voice: Voice): string {
  const { status } = wordsOf(voice.language)
  const disputed = (c: Change) => {
    const reply = disputeOf(disputes, c.kpi, c.now)
    return reply ? [disputeText(reply, disputes!, voice) + '.'] : []
  }
  const asked = (c: Change) => {
    const target = askedOf(rowOf.get(c.kpi))
    return target ? [`${standing(target, c.unit, voice)} · ${status[target.status]}.`] : []
  }
  const lines = told.slice(0, most).map((c, i) =>
    [`${i + 1}. ${nameIn(c.title, voice.language, c.kpi)} — ${step(c, said, voice)}.`, ...disputed(c), ...asked(c), ...reasons(c, said, voice), `${said.owner}: ${nameIn(changes.owners[c.owner], voice.language, c.owner)}.`].join(' '))
  const simulated = changes.simulated ? [wordsOf(voice.language).simulated] : []
  return [title + '.', ofWhat(changes, said, voice), ...lines, ...simulated].join('\n')
}

function Nothing({ all }: { all: number }) {
  const said = useWordsOf(words)
  const may = useMay()
  return (
    <Empty title={fill(said.steady, { all })}>
      <p>{said.whoElse} {may('GET /v1/quality') ? <Link to="/quality" search={({ lang }) => ({ lang })}>{said.quality}</Link> : said.quality}</p>
    </Empty>
  )
}
