import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { memo, useDeferredValue, useMemo, useState } from 'react'
import { address, get, type HeldTarget, type Scorecard, type ScorecardRow } from '../../api/client'
import { useSince } from '../../api/since'
import { boundText, changeText, coverageText } from '../../finding'
import { day, dayOfMoment, difference, isoDayOfMoment, period, shortDay } from '../../format'
import { Disputed } from '../../parts/Disputed'
import { Figure, gapText, Spark, Status, TargetBar, verdictText } from '../../parts/Figures'
import { Filters, PeriodFilter, RegionFilter, useChange, useParts } from '../../parts/Filters'
import { Later } from '../../parts/Later'
import { Page } from '../../parts/Page'
import { Empty, Skeleton } from '../../parts/States'
import { useNarrow, useWall } from '../../screen'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import css from './style.module.css'
import { words } from './words'

// ScorecardPage is what is opened first: the targets as cards, then every figure by the system
// that it comes from.
export default function ScorecardPage() {
  const shared = useWords()
  const said = useWordsOf(words)
  const voice = useVoice()
  const { from, to, where } = useSearch({ from: '__root__' })
  const question = { from, to, where, lang: voice.language }
  const card = useQuery({
    queryKey: ['scorecard', question],
    queryFn: ({ signal }) => get<Scorecard>(address('/v1/scorecard', question), signal),
    placeholderData: keepPreviousData,
  })
  const data = card.data
  const through = reach(data)
  const shown = data && (data.from || data.to) ? period(`${data.from ?? ''}/${data.to ?? ''}`, voice.language) : shared.latest
  const held = (data?.rows ?? []).flatMap((row) => askedOf(row) ?? [])
  const judged = held.some((t) => t.status !== 'unmeasured')
  const part = useParts(where)
  const title = judged ? fill(said.finding, { n: held.filter((t) => t.status === 'reached').length, all: held.length }) : held.length ? shared.emptyTitle : data ? said.noTargets : said.title
  return (
    <Page title={part ? `${part}: ${title}` : title} tab={said.title} query={card} simulated={data?.simulated} summary={data && <Summary card={data} held={held} shown={shown} part={part} />}
      filters={
        <Filters shown={part ? `${shown} · ${part}` : shown}>
          <PeriodFilter from={from} to={to} through={through ? isoDayOfMoment(through, voice.zone) : new Date().toISOString().slice(0, 10)} open={from || to ? shared.latest : shown} />
          <RegionFilter where={where} />
        </Filters>
      }
      waiting={<><Skeleton rows={4} kind="card" /><Skeleton rows={8} kind="row" /></>}>
      {data && <Rows card={data} />}
    </Page>
  )
}

// askedOf is the target that an act asks for; results and claims are not targets.
const askedOf = (row: ScorecardRow) => row.targets.find((t) => t.kind === 'target')

// reach is how far events reach; the catalogue, which tells of coming days too, is
// asked only when no figure counts events.
function reach(card: Scorecard | undefined): string | null {
  if (card && !card.rows.some(counted)) return null
  const days = (card?.rows ?? []).filter((row) => row.basis === 'events').map((row) => row.data_through).filter((d) => d !== null)
  return days.length ? days.reduce((a, b) => (Date.parse(a) > Date.parse(b) ? a : b)) : (card?.data_through ?? null)
}

// counted says whether a row has any figure.
const counted = (row: ScorecardRow) => row.cell?.state === 'value' || row.cell?.state === 'zero'

const order: HeldTarget['status'][] = ['missed', 'off_course', 'at_risk', 'on_course', 'open', 'unmeasured']

// Summary says how the targets stand that are not reached, how much has changed since the
// reader looked, and how far the data reach.
function Summary({ card, held, shown, part }: { card: Scorecard; held: HeldTarget[]; shown: string; part: string }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const { since, changes } = useSince()
  const through = reach(card)
  const parts = order.map((status) => ({ status, n: held.filter((t) => t.status === status).length })).filter((p) => p.n > 0)
  return (
    <ul className={css.summary}>
      <li>{shown}</li>
      {parts.map((p) => <li key={p.status}>{fill(said.counted[p.status], { n: p.n })}</li>)}
      {through && <li>{fill(said.through, { day: dayOfMoment(through, voice.zone, voice.language) })}</li>}
      {since && !part && (
        <li className={css.since}><Link to="/monday" search={({ lang }) => ({ lang })} preload="intent">{fill(changes ? said.moved : said.whatMoved, { day: day(since, voice.language), n: changes?.changes.length ?? 0 })}</Link></li>
      )}
    </ul>
  )
}

const kinds = {
  all: () => true,
  worse: (row: ScorecardRow) => row.trend === 'worse',
  better: (row: ScorecardRow) => row.trend === 'better',
  silent: (row: ScorecardRow) => !row.cell || (row.cell.state !== 'value' && row.cell.state !== 'zero'),
}

// silentSource is a figure that counts events of which none has come; the catalogue, which a
// new installation has from its pack, is none.
const silentSource = (row: ScorecardRow) => row.basis !== 'events' || row.data_through === null

function Rows({ card }: { card: Scorecard }) {
  const shared = useWords()
  const said = useWordsOf(words)
  const voice = useVoice()
  const { view } = useSearch({ from: '__root__' })
  const change = useChange()
  const kind = view !== undefined && view in kinds ? (view as keyof typeof kinds) : 'all'
  const drawn = useDeferredValue(kind) // the button answers at once, the rows follow
  const groups = useMemo(() => grouped(card.rows.filter(kinds[drawn]), voice.labels, voice.language, shared.otherGroup), [card, drawn, voice, shared])
  const halves = useWall() ? halved(groups) : [groups]
  const aimed = card.rows.filter(askedOf)
  if (card.rows.length === 0 || card.rows.every((row) => row.cell?.state === 'not_provided')) return <Nothing card={card} />
  return (
    <>
      {card.rows.every(silentSource) && <Nothing card={card} />}
      {aimed.length > 0 && (
        <section aria-labelledby="targets">
          <h2 id="targets">{shared.targets}</h2>
          <ul className={css.cards}>{aimed.map((row) => <li key={row.kpi}><TargetCard row={row} card={card} /></li>)}</ul>
        </section>
      )}
      <section aria-labelledby="figures">
        <div className="section-head">
          <h2 id="figures">{shared.figures}</h2>
          <div className="choice" role="group" aria-label={said.show}>
            {(Object.keys(kinds) as (keyof typeof kinds)[]).map((k) => (
              <button key={k} type="button" aria-pressed={k === kind} onClick={() => change({ view: k === 'all' ? undefined : k })}>{said[k]} <span className="count">{card.rows.filter(kinds[k]).length}</span></button>
            ))}
          </div>
        </div>
        {groups.length === 0 ? <Empty title={said.none} /> : (
          <Later place={<Skeleton rows={12} kind="row" />}>
            <div className={halves.length > 1 ? css.halves : undefined}>
              {halves.map((half) => (
                <table key={half[0]!.group} className={css.rows}>
                  <thead>
                    <tr>
                      <th scope="col">{said.figure}</th><th scope="col" className="number">{said.value}</th><th scope="col">{said.trend}</th>
                      <th scope="col">{said.change}</th><th scope="col">{said.asked}</th><th scope="col">{said.owner}</th>
                    </tr>
                  </thead>
                  {half.map((group) => <Rowgroup key={`${drawn} ${group.group}`} group={group} card={card} open={drawn !== 'all'} />)}
                </table>
              ))}
            </div>
          </Later>
        )}
      </section>
    </>
  )
}

interface Group { group: string; name: string; rows: ScorecardRow[] }

// grouped are the systems with what an act asks of first, the largest first, then the others
// by name.
function grouped(rows: ScorecardRow[], labels: Record<string, string>, language: string, other: string): Group[] {
  const groups = new Map<string, ScorecardRow[]>()
  for (const row of rows) groups.set(row.group, [...(groups.get(row.group) ?? []), row])
  const aimed = (g: Group) => g.rows.filter(askedOf).length > 0
  return [...groups]
    .map(([group, all]): Group => ({ group, name: labels[`group.${group}`] ?? (group || other), rows: [...all].sort((a, b) => Number(askedOf(b) !== undefined) - Number(askedOf(a) !== undefined)) }))
    .sort((a, b) => Number(aimed(b)) - Number(aimed(a)) || (aimed(a) ? b.rows.length - a.rows.length : 0) || a.name.localeCompare(b.name, language))
}

// halved are the systems in two columns of about the same height, read one after the other.
function halved(groups: Group[]): Group[][] {
  const height = (list: Group[]) => list.reduce((sum, { rows }) => sum + rows.length + 1, 0)
  const uneven = (n: number) => Math.abs(height(groups.slice(0, n)) - height(groups.slice(n)))
  const at = groups.reduce((best, _, n) => (uneven(n) < uneven(best) ? n : best), 0)
  return at === 0 ? [groups] : [groups.slice(0, at), groups.slice(at)]
}

// What was opened stays so until the page is left for good: the way back leads to the same row.
const opened = new Set<string>()

// Rowgroup are the figures of one system. On a phone they are folded under its name, which says
// how many they are and the worst of them; unless open, which is when the reader has chosen.
function Rowgroup({ group: { group, name, rows }, card, open: chosen }: { group: Group; card: Scorecard; open: boolean }) {
  const said = useWordsOf(words)
  const narrow = useNarrow()
  const [open, setOpen] = useState(chosen || opened.has(group))
  const worst = worstOf(rows)
  const worse = rows.filter(kinds.worse).length
  const fold = () => {
    if (open) opened.delete(group)
    else opened.add(group)
    setOpen(!open)
  }
  return (
    <tbody className={open ? undefined : css.folded}>
      <tr className={css.group}>
        <th scope="rowgroup" colSpan={6}>
          {!narrow ? name : (
            <button type="button" className={css.fold} aria-expanded={open} onClick={fold}>
              <span>{name} <span className="count">{rows.length}</span></span>
              <span className={css.state}>{worst && <Status target={worst} />}{worse > 0 && <span className={css.before}>{said.worse}: {worse}</span>}</span>
            </button>
          )}
        </th>
      </tr>
      {rows.map((row) => <Row key={row.kpi} row={row} card={card} />)}
    </tbody>
  )
}

// worstOf is the target among figures that stands worst.
function worstOf(rows: ScorecardRow[]): HeldTarget | undefined {
  const rank = (t: HeldTarget) => (order.includes(t.status) ? order.indexOf(t.status) : order.length)
  return rows.flatMap((row) => askedOf(row) ?? []).sort((a, b) => rank(a) - rank(b))[0]
}

// Name leads to the KPI's page for the same days, so that it shows the same figure.
function Name({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const { language } = useVoice()
  return (
    <Link to="/kpis/$id" params={{ id: row.kpi }} search={({ lang, where }) => ({ lang, from: card.from ?? undefined, to: card.to ?? undefined, where })} className="name" preload="intent">
      {nameIn(row.title, language, row.kpi)}
    </Link>
  )
}

// Trust says how far the data behind a figure reach, who is missing, and whether
// they were simulated when not all figures of the page were.
function Trust({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const shared = useWords()
  const voice = useVoice()
  const coverage = coverageText(row.cell?.coverage ?? null, voice)
  return (
    <span className={css.trust}>
      {row.data_through ? <span className="spoken">{shared.dataAsOf}: </span> : null}
      {row.data_through ? shortDay(isoDayOfMoment(row.data_through, voice.zone), voice.language) : shared.noData}
      {coverage && <span> · {coverage}</span>}
      {row.simulated && !card.simulated && <span> · {shared.simulatedShort}</span>}
    </span>
  )
}

function TargetCard({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const shared = useWords()
  const { where } = useSearch({ from: '__root__' })
  const voice = useVoice()
  const target = askedOf(row)!
  return (
    <article className={css.card}>
      <header><h3><Name row={row} card={card} /></h3><Status target={target} /></header>
      {!row.cell ? <div className="problem"><p>{shared.cannotCompute}</p>{row.problem && <p>{row.problem}</p>}</div> : (
        <>
          <p className={css.big}><Figure cell={row.cell} unit={row.unit} /><span className={css.asked} title={`${nameIn(target.act_names, voice.language, target.act)}: ${nameIn(target.wording_names, voice.language, target.wording)}`}>{shared.target}: {boundText(target, row.unit, voice)}</span></p>
          <Disputed kpi={row.kpi} cell={row.cell} where={where} />
          <TargetBar cell={row.cell} target={target} />
          <div className={css.under}>
            <Spark cells={row.months} unit={row.unit} bound={target.value ?? undefined} />
            <p>
              {verdictText(target, row.cell, row.unit, voice) || target.words || gapText(target, row.unit, voice.language, shared)}
              <span>{target.due && target.due_stated ? fill(shared.due, { day: shortDay(target.due, voice.language) }) : shared.dueNotStated}</span>
            </p>
          </div>
        </>
      )}
      <footer><span>{nameIn(card.owners[row.owner], voice.language, row.owner)}</span><Trust row={row} card={card} /></footer>
    </article>
  )
}

// Moved is by how much a figure changed, which way, and whether that is good.
function Moved({ row }: { row: ScorecardRow }) {
  const said = useWordsOf(words)
  const voice = useVoice()
  const change = row.cell?.comparison?.difference
  if (!row.cell || change == null) return null
  if (change === 0) return <span className={css.before}>{changeText(row.cell, row.unit, voice)}</span>
  const judged = row.trend === 'better' ? said.isBetter : row.trend === 'worse' ? said.isWorse : ''
  return (
    <span className={`${css.moved} ${row.trend === 'better' || row.trend === 'worse' ? css[row.trend] : ''}`}>
      <span><span aria-hidden="true">{change > 0 ? '↗' : '↘'}</span> {change > 0 ? '+' : '−'}{difference(change, row.unit, voice.language, voice.labels)}</span>
      <span className={css.before}>{[judged, fill(said.against, { before: period(row.cell.comparison!.period, voice.language) })].filter(Boolean).join(', ')}</span>
    </span>
  )
}

// Asked is what was published of a figure: its target with how it stands, else a result or a
// claim with whether the figure bears it out.
function Asked({ row }: { row: ScorecardRow }) {
  const shared = useWords()
  const said = useWordsOf(words)
  const voice = useVoice()
  const one = askedOf(row) ?? row.targets.find((t) => t.value !== null) ?? row.targets[0]
  if (!one) return null
  return (
    <span className={css.published} title={`${nameIn(one.act_names, voice.language, one.act)}: ${nameIn(one.wording_names, voice.language, one.wording)}`}>
      {one.value === null ? <span className={css.wording}>{shared.kinds[one.kind]}: {nameIn(one.wording_names, voice.language, one.wording)}</span> : <span>{shared.kinds[one.kind]}: {boundText(one, row.unit, voice)}</span>}
      {one.kind === 'target' ? <><Status target={one} />{row.cell && <span className={css.before}>{verdictText(one, row.cell, row.unit, voice)}</span>}</> : one.holds !== null && <span className={css.before}><span aria-hidden="true">{one.holds ? '✓' : '≠'}</span> {one.holds ? said.holds : said.fails}</span>}
    </span>
  )
}

const Row = memo(function Row({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const shared = useWords()
  const { where } = useSearch({ from: '__root__' })
  const { language } = useVoice()
  const owner = nameIn(card.owners[row.owner], language, row.owner)
  return (
    <tr>
      <th scope="row"><Name row={row} card={card} /></th>
      <td className="number">{!row.cell && row.data_through === null ? <span className={css.before}>{shared.noData}</span> : !row.cell ? <span className="problem" title={row.problem}>{shared.cannotCompute}</span> : <><Figure cell={row.cell} unit={row.unit} /><Disputed kpi={row.kpi} cell={row.cell} where={where} /></>}</td>
      <td className={css.trend}><Spark cells={row.months} unit={row.unit} bound={askedOf(row)?.value ?? undefined} /></td>
      <td><Moved row={row} /></td>
      <td><Asked row={row} /></td>
      <td className={css.owner}><span title={owner}>{owner}</span><Trust row={row} card={card} /></td>
    </tr>
  )
})

function Nothing({ card }: { card: Scorecard }) {
  const shared = useWords()
  const voice = useVoice()
  const { from, to } = useSearch({ from: '__root__' })
  const narrowed = Boolean(from || to)
  // How far data reach is not known of days that have none.
  const question = { from: undefined, to: undefined, where: undefined, lang: voice.language }
  const all = useQuery({ queryKey: ['scorecard', question], queryFn: ({ signal }) => get<Scorecard>(address('/v1/scorecard', question), signal), enabled: narrowed })
  const through = narrowed ? reach(all.data) : card.rows.every(silentSource) ? null : reach(card)
  return (
    <Empty title={narrowed || through ? shared.emptyTitle : shared.emptyFreshTitle}>
      <p>{through ? fill(shared.emptyHint, { day: dayOfMoment(through, voice.zone, voice.language) }) : narrowed && all.isPending ? '' : shared.emptyFresh}</p>
      <p><a href="/docs">{shared.documentation}</a></p>
    </Empty>
  )
}
