import { Link, useSearch } from '@tanstack/react-router'
import { useScope } from '../../api/me'
import { dayOfMoment, difference, isoDayOfMoment, number, period, sign } from '../../format'
import { Disputed } from '../../parts/Disputed'
import { PeriodFilter } from '../../parts/Filters'
import { Figure, Spark } from '../../parts/Figures'
import { Failure, SimulatedNotice, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { type Against, against, dimensionOf, furthest, measured, useCard, useKpis } from './data'
import { words } from './words'

// Standing holds every figure of one place against the nation's; nothing of a place whose rows the
// reader does not see.
export function Standing({ table, code }: { table: string; code: string }) {
  const said = useWordsOf(words)
  const all = useWords()
  const voice = useVoice()
  const { from, to } = useSearch({ from: '__root__' })
  const kpis = useKpis()
  const by = kpis.data && dimensionOf(kpis.data.kpis, table)
  const where = by ? [`${by}=${code}`] : undefined
  const scope = useScope()
  const foreign = scope !== undefined && scope.dimension === by && scope.value !== code
  const nation = useCard({ from, to }, !foreign)
  const here = useCard({ from, to, where }, where !== undefined && !foreign)
  if (foreign) return null
  if (kpis.data && !by) return <section className="card"><h2>{said.figures}</h2><p className="meta">{said.notFigured}</p></section>
  const card = here.data
  const shown = card && (card.from || card.to) ? period(`${card.from ?? ''}/${card.to ?? ''}`, voice.language) : ''
  const through = card?.data_through ? isoDayOfMoment(card.data_through, voice.zone) : new Date().toISOString().slice(0, 10)
  const failed = nation.isError ? nation : here.isError ? here : undefined
  const { told, silent } = card && nation.data ? against(card.rows, nation.data.rows, table === 'regions') : { told: [], silent: [] }
  const judged = told.filter((a) => a.verdict !== null)
  const groups = new Map<string, Against[]>()
  for (const a of told) groups.set(a.row.group, [...(groups.get(a.row.group) ?? []), a])
  return (
    <section className={here.isPlaceholderData ? 'card standing refreshing' : 'card standing'} aria-labelledby="standing" aria-busy={here.isFetching || nation.isFetching}>
      <div className="section-head">
        <h2 id="standing">{said.figures}</h2>
        <PeriodFilter from={from} to={to} through={through} open={from || to ? all.latest : shown || all.latest} />
      </div>
      {card?.simulated && <SimulatedNotice />}
      {failed && <Failure error={failed.error} again={() => void failed.refetch()} />}
      {!failed && (!card || !nation.data) && <Skeleton rows={6} kind="row" />}
      {!failed && card && nation.data && (told.length === 0 ? <p className="meta">{said.silentAll}</p> : (
        <>
          <p className="sentence">
            {judged.length ? fill(said.standing, { better: judged.filter((a) => a.verdict === 'better').length, worse: judged.filter((a) => a.verdict === 'worse').length }) : said.standingNone}
          </p>
          <div className="extremes">
            <Extremes title={said.behind} list={furthest(told, 'worse')} words={said.behindBy} kind="worse" where={where!} days={{ from: card.from ?? undefined, to: card.to ?? undefined }} />
            <Extremes title={said.ahead} list={furthest(told, 'better')} words={said.aheadBy} kind="better" where={where!} days={{ from: card.from ?? undefined, to: card.to ?? undefined }} />
          </div>
          <div className="scroll" tabIndex={0} role="group" aria-labelledby="standing">
            <table className="against">
              <thead>
                <tr>
                  <th scope="col">{said.figure}</th><th scope="col" className="number">{said.here}</th><th scope="col" className="number">{said.nation}</th>
                  <th scope="col" className="versus-head">{said.difference}</th><th scope="col">{all.trend}</th><th scope="col" className="number minor">{said.cases}</th>
                </tr>
              </thead>
              {[...groups].map(([group, rows]) => (
                <tbody key={group}>
                  <tr className="group-name"><th scope="rowgroup" colSpan={6}>{voice.labels[`group.${group}`] ?? (group || all.otherGroup)}</th></tr>
                  {rows.map((a) => (
                    <tr key={a.row.kpi}>
                      <th scope="row">
                        <Link to="/kpis/$id" params={{ id: a.row.kpi }} search={({ lang }) => ({ lang, from: card.from ?? undefined, to: card.to ?? undefined, where })} className="name">{nameIn(a.row.title, voice.language, a.row.kpi)}</Link>
                      </th>
                      <td className="number">{a.row.cell && <><Figure cell={a.row.cell} unit={a.row.unit} /><Disputed kpi={a.row.kpi} cell={a.row.cell} where={where} /></>}</td>
                      <td className="number">{a.nation && <><Figure cell={{ ...a.nation, open: false }} unit={a.row.unit} /><Disputed kpi={a.row.kpi} cell={a.nation} /></>}</td>
                      <td className="versus"><Versus one={a} /></td>
                      <td className="trend"><Spark cells={a.row.months} unit={a.row.unit} /></td>
                      <td className="number minor">{a.row.cell?.cases == null || a.row.cell.state === 'not_applicable' ? '' : number(a.row.cell.cases, voice.language)}</td>
                    </tr>
                  ))}
                </tbody>
              ))}
            </table>
          </div>
          {silent.length > 0 && (
            <details>
              <summary>{fill(said.silent, { n: silent.length })}</summary>
              <p className="meta">{silent.map((row) => nameIn(row.title, voice.language, row.kpi)).join(' · ')}</p>
            </details>
          )}
          <p className="caption">
            {shown} · {card.data_through ? fill(all.through, { day: dayOfMoment(card.data_through, voice.zone, voice.language) }) : all.noData}
            {card.simulated && <> · {all.simulatedShort}</>}
          </p>
        </>
      ))}
    </section>
  )
}

function Extremes({ title, list, words: text, kind, where, days }: { title: string; list: Against[]; words: string; kind: 'better' | 'worse'; where: string[]; days: { from: string | undefined; to: string | undefined } }) {
  const voice = useVoice()
  if (list.length === 0) return null
  return (
    <div className={`extreme ${kind}`}>
      <h3>{title}</h3>
      <ul>
        {list.map((a) => (
          <li key={a.row.kpi}>
            <Link to="/kpis/$id" params={{ id: a.row.kpi }} search={({ lang }) => ({ lang, ...days, where })} className="name">{nameIn(a.row.title, voice.language, a.row.kpi)}</Link>
            <b>{fill(text, { value: difference(a.difference!, a.row.unit, voice.language) })}</b>
          </li>
        ))}
      </ul>
    </div>
  )
}

const shapes = { better: '✓', worse: '✗', same: '=' } // none of those that say how a target stands

// Versus draws a difference from a middle line, or a part of the nation from zero, with the
// words beside it. Points reach to ±50 on the drawing, other units to ±100 % of the nation's.
function Versus({ one }: { one: Against }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  if (one.share !== null) {
    return (
      <span className="part-of">
        <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect className="track" width="100" height="8" /><rect className="fill" width={Math.min(100, 100 * one.share)} height="8" /></svg>
        <span>{fill(said.ofNation, { value: `${number(100 * one.share, language, one.share < 0.1 ? 1 : 0)}\u00a0%` })}</span>
      </span>
    )
  }
  if (one.difference === null || !measured(one.nation)) return null
  const reach = one.row.unit === 'percent' ? 50 : Math.abs(one.nation.value) || 1
  const half = Math.min(50, (50 * Math.abs(one.difference)) / reach)
  const by = difference(one.difference, one.row.unit, language, labels)
  return (
    <span className={`differs ${one.verdict ?? 'none'}`}>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect x={one.difference < 0 ? 50 - half : 50} y="1" width={half} height="6" />
        <line x1="50" x2="50" y1="0" y2="8" />
      </svg>
      {(one.verdict !== 'same' || one.row.unit === 'percent') && <span>{sign(one.difference, by)}{by}</span>}
      {one.verdict && <small><span aria-hidden="true">{shapes[one.verdict]}</span> {said[one.verdict]}</small>}
    </span>
  )
}
