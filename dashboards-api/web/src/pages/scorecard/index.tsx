import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { useEffect } from 'react'
import { address, get, type Scorecard, type ScorecardRow } from '../../api/client'
import { Figure, gapText, Spark, Status, TargetBar, TargetLine } from '../../parts/Figures'
import { PeriodFilter, RegionFilter } from '../../parts/Filters'
import { Failure, SimulatedNotice, Skeleton } from '../../parts/States'
import { changeText, coverageText } from '../../finding'
import { day, dayOfMoment, isoDayOfMoment, period, shortDay } from '../../format'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords } from '../../words'

export default function ScorecardPage() {
  const words = useWords()
  const voice = useVoice()
  const { from, to, where } = useSearch({ from: '__root__' })
  const question = { from, to, where }
  const card = useQuery({
    queryKey: ['scorecard', question],
    queryFn: ({ signal }) => get<Scorecard>(address('/v1/scorecard', question), signal),
    placeholderData: keepPreviousData,
  })
  useEffect(() => {
    document.title = `${words.scorecard} · Ombor`
  }, [words])
  const data = card.data
  const through = reach(data)
  const shown = data && (data.from || data.to) ? period(`${data.from ?? ''}/${data.to ?? ''}`, voice.language) : words.latest
  return (
    <div className={card.isPlaceholderData ? 'page refreshing' : 'page'} aria-busy={card.isFetching}>
      <div className="page-head">
        <div>
          <h1>{words.scorecard}</h1>
          {data && <Summary card={data} shown={shown} />}
        </div>
        <div className="filters">
          <PeriodFilter from={from} to={to} through={through ? isoDayOfMoment(through, voice.zone) : new Date().toISOString().slice(0, 10)} open={from || to ? words.latest : shown} />
          <RegionFilter where={where} />
        </div>
      </div>
      {data?.simulated && <SimulatedNotice />}
      {card.isPending && <><Skeleton rows={4} kind="card" /><Skeleton rows={8} kind="row" /></>}
      {card.isError && <Failure error={card.error} again={() => void card.refetch()} />}
      {data && !card.isError && <Rows card={data} />}
    </div>
  )
}

// askedOf is the target that an act asks for; results and claims are not targets.
const askedOf = (row: ScorecardRow) => row.targets.find((t) => t.kind === 'target')

// reach is how far events reach; the catalogue, which tells of coming days too, is
// asked only when no figure counts events.
function reach(card: Scorecard | undefined): string | null {
  const days = (card?.rows ?? []).filter((row) => row.basis === 'events').map((row) => row.data_through).filter((d) => d !== null)
  return days.length ? days.reduce((a, b) => (Date.parse(a) > Date.parse(b) ? a : b)) : (card?.data_through ?? null)
}

function Summary({ card, shown }: { card: Scorecard; shown: string }) {
  const words = useWords()
  const voice = useVoice()
  const held = card.rows.flatMap((row) => askedOf(row) ?? [])
  const reached = held.filter((t) => t.status === 'reached').length
  const parts = [shown]
  if (held.length) parts.push(fill(words.targetsReached, { n: reached, all: held.length }))
  const through = reach(card)
  parts.push(through ? fill(words.through, { day: dayOfMoment(through, voice.zone, voice.language) }) : words.noData)
  return <p className="summary">{parts.join(' · ')}</p>
}

function Rows({ card }: { card: Scorecard }) {
  const words = useWords()
  const voice = useVoice()
  const aimed = card.rows.filter(askedOf)
  const rest = card.rows.filter((row) => !askedOf(row))
  const groups = new Map<string, ScorecardRow[]>()
  for (const row of rest) groups.set(row.group, [...(groups.get(row.group) ?? []), row])
  const nothing = card.rows.every((row) => row.cell?.state === 'not_provided')
  if (card.rows.length === 0 || nothing) return <Empty card={card} />
  return (
    <>
      {aimed.length > 0 && (
        <section aria-labelledby="targets">
          <h2 id="targets">{words.targets}</h2>
          <ul className="cards">{aimed.map((row) => <li key={row.kpi}><TargetCard row={row} card={card} /></li>)}</ul>
        </section>
      )}
      {groups.size > 0 && (
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">{words.figure}</th><th scope="col" className="number">{words.value}</th><th scope="col">{words.trend}</th>
              <th scope="col">{words.change}</th><th scope="col">{words.dataAsOf}</th><th scope="col">{words.owner}</th>
            </tr>
          </thead>
          {[...groups].map(([group, rows]) => (
            <tbody key={group}>
              <tr className="group-name"><th scope="rowgroup" colSpan={6}>{voice.labels[`group.${group}`] ?? (group || words.otherGroup)}</th></tr>
              {rows.map((row) => <Row key={row.kpi} row={row} card={card} />)}
            </tbody>
          ))}
        </table>
      )}
    </>
  )
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
  const words = useWords()
  const voice = useVoice()
  const coverage = coverageText(row.cell?.coverage ?? null, voice)
  return (
    <span className="trust">
      {row.data_through ? <span className="spoken">{words.dataAsOf}: </span> : null}
      {row.data_through ? shortDay(isoDayOfMoment(row.data_through, voice.zone), voice.language) : words.noData}
      {coverage && <span> · {coverage}</span>}
      {row.simulated && !card.simulated && <span> · {words.simulatedShort}</span>}
    </span>
  )
}

function TargetCard({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const words = useWords()
  const { language } = useVoice()
  const target = askedOf(row)!
  return (
    <article className="card target-card">
      <div className="top"><h3><Name row={row} card={card} /></h3><Status target={target} /></div>
      {!row.cell ? <p className="problem">{words.cannotCompute}: {row.problem}</p> : (
        <>
          <div className="big"><Figure cell={row.cell} unit={row.unit} /><TargetLine target={target} unit={row.unit} /></div>
          <TargetBar cell={row.cell} target={target} />
          <div className="under">
            <Spark cells={row.months} unit={row.unit} bound={target.value ?? undefined} />
            <span className="gap">
              {gapText(target, row.unit, language, words)}
              <span className="due">{target.due && target.due_stated ? fill(words.due, { day: day(target.due, language) }) : words.dueNotStated}</span>
            </span>
          </div>
        </>
      )}
      <p className="foot"><span>{nameIn(card.owners[row.owner], language, row.owner)}</span><Trust row={row} card={card} /></p>
    </article>
  )
}

function Row({ row, card }: { row: ScorecardRow; card: Scorecard }) {
  const words = useWords()
  const voice = useVoice()
  return (
    <tr>
      <th scope="row"><Name row={row} card={card} /></th>
      <td className="number">{!row.cell ? <span className="problem" title={row.problem}>{words.cannotCompute}</span> : <Figure cell={row.cell} unit={row.unit} />}</td>
      <td className="trend"><Spark cells={row.months} unit={row.unit} /></td>
      <td className="change">{row.cell && changeText(row.cell, row.unit, voice)}</td>
      <td><Trust row={row} card={card} /></td>
      <td className="owner">{nameIn(card.owners[row.owner], voice.language, row.owner)}</td>
    </tr>
  )
}

function Empty({ card }: { card: Scorecard }) {
  const words = useWords()
  const voice = useVoice()
  return (
    <section className="empty">
      <h2>{words.emptyTitle}</h2>
      <p>{reach(card) ? fill(words.emptyHint, { day: dayOfMoment(reach(card)!, voice.zone, voice.language) }) : words.emptyFresh}</p>
      <p><a href="/docs">{words.documentation}</a></p>
    </section>
  )
}
