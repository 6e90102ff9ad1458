import { Link } from '@tanstack/react-router'
import { number, period } from '../../format'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { type Attention, type DueMonth, dueBy, gravest, type InStage, type Project, stagesOf } from './data'
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
  return (
    <div className="stages">
      <section className="card" aria-labelledby="stages">
        <h2 id="stages">{said.tabs.stages}</h2>
        <p className="meta">{said.stageNote}</p>
        <table className="strips">
          <thead><tr><th scope="col">{said.stage}</th><th scope="col" className="number">{said.columns.projects}</th><th scope="col">{said.inStage}</th><th scope="col" className="minor">{said.longest}</th></tr></thead>
          <tbody>
            {found.map((s) => (
              <tr key={s.stage}>
                <th scope="row"><Link to="/projects" search={(old) => ({ ...old, stage: s.stage || undefined, tab: 'table' }) as never}>{s.stage ? stages.name(s.stage) : said.none}</Link></th>
                <td className="number">{number(s.projects.length, language)}</td>
                <td className="strip-cell">
                  <Strip stage={s} most={most} rules={rules} name={s.stage ? stages.name(s.stage) : said.none} />
                  <small>{fill(said.medianDays, { n: number(s.median, language) })}</small>
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

const height = 28

function Strip({ stage, most, rules, name }: { stage: InStage; most: number; rules: Attention['rules']; name: string }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const low = stage.projects[stage.projects.length - 1]!.days
  const label = fill(said.stripSpoken, { stage: name, n: stage.projects.length, low: number(low, language), high: number(stage.projects[0]!.days, language), median: number(stage.median, language) })
  // Marks of the same place are set apart, up and down, so that each can be seen.
  const rows = new Map<number, number>()
  return (
    <svg className="strip-plot" viewBox={`0 0 600 ${height}`} role="img" aria-label={label} preserveAspectRatio="xMidYMid meet">
      <line className="base" x1="0" x2="600" y1={height / 2} y2={height / 2} />
      {stage.projects.map(({ project, days }) => {
        const x = 6 + (588 * days) / most
        const slot = Math.round(x / 9)
        const n = rows.get(slot) ?? 0
        rows.set(slot, n + 1)
        const y = height / 2 + (n % 2 ? -1 : 1) * Math.ceil(n / 2) * 5
        const grave = gravest(project, rules)
        return <path key={project.id} className={`dot s${grave}`} d={shape(grave, x, Math.max(4, Math.min(height - 4, y)))}><title>{`${project.name}: ${fill(said.daysInStage, { n: number(days, language) })}`}</title></path>
      })}
      <line className="median" x1={6 + (588 * stage.median) / most} x2={6 + (588 * stage.median) / most} y1="2" y2={height - 2} />
    </svg>
  )
}

const shape = (grave: number, x: number, y: number): string =>
  grave === 3 ? `M${x - 3.5} ${y - 3.5}h7v7h-7z` : grave === 2 ? `M${x} ${y - 4.5}l4.5 8h-9z` : `M${x - 3.5} ${y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0`

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
          <li key={m.month} className={m.overdue ? 'past' : undefined}>
            <span>{period(m.month, language)}{m.overdue && m.projects.length > 0 && <small className="overdue"> ■ {said.overdueMonths}</small>}</span>
            <svg className="part-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width={(100 * m.projects.length) / most} height="6" /></svg>
            <b>{number(m.projects.length, language)}</b>
            <span className="due-names">{m.projects.slice(0, 2).map((p) => <Link key={p.id} to="/projects/$id" params={{ id: p.id }} search={({ lang, on }) => ({ lang, on })} className="name">{p.name}</Link>)}{m.projects.length > 2 && <small>+{m.projects.length - 2}</small>}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}
