import { day, number, shortDay } from '../../format'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { daysBetween, type Detail } from './data'
import { words } from './words'

// Plan holds every milestone's first baseline against the date as replanned and the day
// it was reached, drawn on one axis of time within its table.
export function Plan({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const days = d.milestones.flatMap((m) => [m.baseline, m.due, m.reached_on]).filter((x): x is string => x !== null).concat(d.on)
  if (d.milestones.length === 0) return <section className="card" aria-labelledby="plan"><h2 id="plan">{said.plan}</h2><p className="meta">{said.noPlan}</p></section>
  const first = [...days, d.project.registered_on ?? days[0]!].sort()[0]!
  const last = [...days].sort().at(-1)!
  const span = Math.max(1, daysBetween(first, last))
  const x = (on: string) => `${(4 + (92 * daysBetween(first, on)) / span).toFixed(2)}%`
  const state = (m: Detail['milestones'][number]) => {
    if (m.days_late !== null) return m.days_late > 0 ? ['late', fill(said.lateBy, { n: number(m.days_late, language) })] : m.days_late < 0 ? ['early', fill(said.early, { n: number(-m.days_late, language) })] : ['early', said.onTime]
    if (m.due && m.due < d.on) return ['late', fill(said.openLate, { n: number(daysBetween(m.due, d.on), language) })]
    return ['open', said.notReached]
  }
  return (
    <section className="card" aria-labelledby="plan">
      <h2 id="plan">{said.plan}</h2>
      <p className="meta">{said.planNote}</p>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="plan">
        <table className="plan">
          <thead>
            <tr><th scope="col">{said.milestone}</th><th scope="col" aria-hidden="true" className="plan-axis"><span>{shortDay(first, language)}</span><span>{shortDay(last, language)}</span></th><th scope="col" className="number date">{said.baseline}</th><th scope="col" className="number date">{said.due}</th><th scope="col" className="number date">{said.reached}</th><th scope="col">{said.daysLate}</th></tr>
          </thead>
          <tbody>
            {d.milestones.map((m) => {
              const [kind, text] = state(m)
              const end = m.reached_on ?? (m.due && m.due < d.on ? d.on : null)
              return (
                <tr key={m.milestone}>
                  <th scope="row">{m.milestone}{m.name && <span className="under">{m.name}</span>}</th>
                  <td className="plan-cell" aria-hidden="true">
                    <svg>
                      <line className="axis" x1="0" x2="100%" y1="13" y2="13" />
                      <line className="shown" x1={x(d.on)} x2={x(d.on)} y1="0" y2="26" />
                      {m.baseline && end && <line className={`slip ${kind}`} x1={x(m.baseline)} x2={x(end)} y1="13" y2="13" />}
                      {m.due && m.due !== m.baseline && <line className="moved" x1={x(m.due)} x2={x(m.due)} y1="5" y2="21" />}
                      {m.baseline && <svg x={x(m.baseline)} y="13" overflow="visible"><path className="baseline" d="M0 -7l7 7l-7 7l-7 -7z" /></svg>}
                      {m.reached_on && <circle className={`reached ${kind}`} cx={x(m.reached_on)} cy="13" r="5.5" />}
                    </svg>
                  </td>
                  <td className="number date">{m.baseline && shortDay(m.baseline, language)}</td>
                  <td className="number date">{m.due && shortDay(m.due, language)}</td>
                  <td className="number date">{m.reached_on ? shortDay(m.reached_on, language) : <span className="meta">{said.notReached}</span>}</td>
                  <td className={`slipped ${kind}`}><span aria-hidden="true">{kind === 'late' ? '■' : kind === 'early' ? '●' : '○'}</span> {text}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {d.replans.some((r) => r.reason) && <ul className="replans">{d.replans.filter((r) => r.reason).map((r, i) => <li key={i} className="meta">{fill(said.events.replanned, { milestone: r.milestone, old: r.old_due ? day(r.old_due, language) : '…', new: r.new_due ? day(r.new_due, language) : '…' })}: {[labels[`value.reason.${r.reason}`] ?? r.reason, r.explanation].filter(Boolean).join('; ')}</li>)}</ul>}
    </section>
  )
}

// Reports draw the percentages as they were reported, in steps: nothing is known between.
export function Reports({ d }: { d: Detail }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const told = d.reports.filter((r): r is typeof r & { percent: number; on: string } => r.percent !== null && r.on !== null).sort((a, b) => (a.on < b.on ? -1 : 1))
  const r = d.project.report
  const first = told[0]
  const last = told[told.length - 1]
  return (
    <section className="card" aria-labelledby="reports">
      <h2 id="reports">{said.progress}</h2>
      {!first || !last ? <p className="meta">{said.noReports}</p> : (
        <>
          <p className="rating"><span className="figure">{last.percent}&nbsp;%</span> <span className="meta">{day(last.on, language)}</span></p>
          <svg className="steps" viewBox="0 0 320 90" role="img" aria-label={fill(said.progressSpoken, { first: first.percent, firstDay: day(first.on, language), last: last.percent, lastDay: day(last.on, language), n: told.length })}>
            <line className="axis" x1="0" x2="320" y1="84" y2="84" />
            <line className="top" x1="0" x2="320" y1="6" y2="6" />
            <polyline points={steps(told, first.on, d.on)} />
            {told.map((one, i) => <circle key={i} cx={place(one.on, first.on, d.on)} cy={84 - 0.78 * one.percent} r="2.5" />)}
          </svg>
          <p className="caption">{shortDay(first.on, language)} – {shortDay(d.on, language)} · 0–100&nbsp;%{r.due && <> · {fill(said.nextReport, { day: shortDay(r.due, language) })}</>}{r.stale && <> · <span className="overdue">■ {said.silent}</span></>}</p>
        </>
      )}
    </section>
  )
}

const place = (on: string, first: string, end: string) => 4 + (312 * daysBetween(first, on)) / Math.max(1, daysBetween(first, end))

function steps(told: { on: string; percent: number }[], first: string, end: string): string {
  const points: string[] = []
  told.forEach((one, i) => {
    const y = (84 - 0.78 * one.percent).toFixed(1)
    points.push(`${place(one.on, first, end).toFixed(1)},${y}`)
    const next = told[i + 1]
    if (next) points.push(`${place(next.on, first, end).toFixed(1)},${y}`)
  })
  return points.join(' ')
}
