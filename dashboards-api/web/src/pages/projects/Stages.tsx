import { Link } from '@tanstack/react-router'
import { number, period } from '../../format'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { type Attention, columns, type DueMonth, dueBy, gravest, type InStage, type Project, stagesOf } from './data'
import { useStages } from './labels'
import { words } from './words'

// Stages draws how long every active project has stood in its stage, and when what is due.
export function Stages({ projects, on, rules }: { projects: Project[]; on: string; rules: Attention['rules'] }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const stages = useStages()
  const found = stagesOf(projects, on, stages.order)
  const months = dueBy(projects, on)
  const most = Math.max(1, ...found.flatMap((s) => s.projects.map((p) => p.days)))
  const graveIn = (s: (typeof found)[number]) => s.projects.filter((p) => gravest(p.project, rules) === 3).length
  const tallest = Math.max(1, ...found.flatMap((s) => columns(s.projects, most, steps, rules).map((c) => c[0] + c[1] + c[2] + c[3])))
  return (
    <div className="stages">
      <section className="card" aria-labelledby="stages">
        <h2 id="stages">{said.tabs.stages}</h2>
        <p className="meta">{said.stageNote}</p>
        <table className="strips">
          <thead><tr><th scope="col">{said.stage}</th><th scope="col" className="number minor">{said.columns.projects}</th><th scope="col">{said.inStage}</th><th scope="col" className="minor">{said.longest}</th></tr></thead>
          <tbody>
            {found.map((s) => (
              <tr key={s.stage}>
                <th scope="row"><Link to="/projects" search={(old) => ({ ...old, stage: s.stage || undefined, tab: 'table' }) as never}>{s.stage ? stages.name(s.stage) : said.none}</Link><span className="under phone">{number(s.projects.length, language)}</span></th>
                <td className="number minor">{number(s.projects.length, language)}</td>
                <td className="strip-cell">
                  <Strip stage={s} most={most} tallest={tallest} rules={rules} name={s.stage ? stages.name(s.stage) : said.none} />
                  <small>{fill(said.medianDays, { n: number(s.median, language) })}{graveIn(s) > 0 && <> · <span className="overdue">■ {fill(said.graveOf, { n: number(graveIn(s), language) })}</span></>}</small>
                </td>
                <td className="minor"><Link to="/projects/$id" params={{ id: s.projects[0]!.project.id }} search={({ lang, on }) => ({ lang, on })} className="name">{s.projects[0]!.project.name}</Link> <span className="under">{fill(said.daysInStage, { n: number(s.projects[0]!.days, language) })}</span></td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {months.length > 0 && <DueMonths months={months} />}
    </div>
  )
}

const height = 40
const steps = 40

// Strip counts the projects of a stage by days in it: what is grave stands at the foot.
function Strip({ stage, most, tallest, rules, name }: { stage: InStage; most: number; tallest: number; rules: Attention['rules']; name: string }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const low = stage.projects[stage.projects.length - 1]!.days
  const label = fill(said.stripSpoken, { stage: name, n: number(stage.projects.length, language), low: number(low, language), high: number(stage.projects[0]!.days, language), median: number(stage.median, language) })
  const width = 600 / steps
  return (
    <svg className="strip-plot" viewBox={`0 0 600 ${height}`} role="img" aria-label={label} preserveAspectRatio="none">
      {columns(stage.projects, most, steps, rules).map((column, i) => {
        const all = column.reduce((sum, n) => sum + n, 0)
        if (all === 0) return null
        let top = height - 1
        return (
          <g key={i}>
            <title>{fill(said.columnSpoken, { from: number(Math.ceil((i * (most + 1)) / steps), language), to: number(Math.ceil(((i + 1) * (most + 1)) / steps) - 1, language), n: number(all, language), grave: number(column[3], language) })}</title>
            {([3, 2, 1, 0] as const).map((grave) => {
              const tall = ((height - 2) * column[grave]) / tallest
              top -= tall
              return tall > 0 && <rect key={grave} className={`dot s${grave}`} x={i * width + 1} y={top} width={width - 2} height={tall} />
            })}
          </g>
        )
      })}
      <line className="base" x1="0" x2="600" y1={height - 0.5} y2={height - 0.5} />
      <line className="median" x1={(600 * stage.median) / (most + 1)} x2={(600 * stage.median) / (most + 1)} y1="0" y2={height} />
    </svg>
  )
}

function DueMonths({ months }: { months: DueMonth[] }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const most = Math.max(...months.map((m) => m.projects.length))
  return (
    <section className="card" aria-labelledby="due">
      <h2 id="due">{said.dueTitle}</h2>
      <p className="meta">{said.dueNote}</p>
      <ol className="due-months">
        {months.map((m) => (
          <li key={`${m.month}${m.before}`} className={m.overdue ? 'past' : undefined}>
            <span>{m.before ? fill(said.dueBefore, { month: period(m.month, language) }) : period(m.month, language)}{m.overdue && m.projects.length > 0 && <small className="overdue"> ■ {said.overdueMonths}</small>}</span>
            <svg className="part-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width={(100 * m.projects.length) / most} height="6" /></svg>
            <b>{number(m.projects.length, language)}</b>
            <span className="due-names">{m.projects.slice(0, 2).map((p) => <Link key={p.id} to="/projects/$id" params={{ id: p.id }} search={({ lang, on }) => ({ lang, on })} className="name">{p.name}</Link>)}{m.projects.length > 2 && <small>+{m.projects.length - 2}</small>}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}
