import './charts.css'
import type { Palette } from './palette'
import { type Drawn, text } from './picture'

// Step is one part of a change; the steps add up to it.
export interface Step {
  key: string
  label: string
  about: string
  change: number
}

// reach are the running sums before and after each step, and the span of all of them with
// zero: what is drawn is the change, so its axis begins at none.
export function reach(steps: Pick<Step, 'change'>[]): { from: number[]; to: number[]; low: number; high: number } {
  const from: number[] = []
  const to: number[] = []
  let sum = 0
  for (const s of steps) {
    from.push(sum)
    sum = Number((sum + s.change).toPrecision(12))
    to.push(sum)
  }
  return { from, to, low: Math.min(0, ...to), high: Math.max(0, ...to) }
}

const toneOf = (v: number) => (v > 0 ? 'up' : v < 0 ? 'down' : 'none')

interface Props {
  steps: Step[]
  total: { label: string; change: number }
  before: string // what the change starts from, said: "July – September 2024: 78.3 %"
  now: string
  say: (change: number) => string // with all digits that it has, so that the parts add up as they are written
  label: string
}

// Waterfall draws how parts of a change add up to it: each begins where the one before ended.
// It is a table whose one column is drawn.
export function Waterfall({ steps, total, before, now, say, label }: Props) {
  const { from, to, low, high } = reach(steps)
  const x = (v: number) => (high === low ? 0 : (100 * (v - low)) / (high - low))
  const rows = steps.map((s, i) => ({ ...s, from: from[i]!, to: to[i]! }))
  return (
    <table className="waterfall" aria-label={label}>
      <tbody>
        <tr className="end"><th scope="row" colSpan={3}>{before}</th></tr>
        {rows.map((r) => (
          <tr key={r.key}>
            <th scope="row">{r.label}<small>{r.about}</small></th>
            <td className="number">{say(r.change)}</td>
            <td className="bar" aria-hidden="true"><Piece from={x(r.from)} to={x(r.to)} zero={x(0)} tone={toneOf(r.change)} /></td>
          </tr>
        ))}
        <tr className="total">
          <th scope="row">{total.label}</th>
          <td className="number">{say(total.change)}</td>
          <td className="bar" aria-hidden="true"><Piece from={x(0)} to={x(total.change)} zero={x(0)} tone="total" /></td>
        </tr>
        <tr className="end"><th scope="row" colSpan={3}>{now}</th></tr>
      </tbody>
    </table>
  )
}

function Piece({ from, to, zero, tone }: { from: number; to: number; zero: number; tone: string }) {
  return (
    <svg viewBox="0 0 100 10" preserveAspectRatio="none">
      <line className="axis" x1={zero} x2={zero} y1="-8" y2="18" />
      <rect className={tone} x={Math.min(from, to)} y="0" width={from === to ? 0 : Math.max(Math.abs(to - from), 0.4)} height="10" />
      <line className="join" x1={to} x2={to} y1="0" y2="18" />
    </svg>
  )
}

// drawWaterfall is the same for a file.
export function drawWaterfall({ steps, total, before, now, say }: Omit<Props, 'label'>, c: Palette): Drawn {
  const { from, to, low, high } = reach(steps)
  const [left, right, row] = [520, 1140, 44]
  const x = (v: number) => left + ((v - low) * (right - left)) / (high - low || 1)
  const colour = (v: number) => (v >= 0 ? c.on : c.off)
  const out = [text(40, 24, before, 17, c.muted)]
  const bar = (y: number, a: number, b: number, fill: string) => out.push(`<rect x="${Math.min(x(a), x(b))}" y="${y - 18}" width="${a === b ? 0 : Math.max(Math.abs(x(b) - x(a)), 1.5)}" height="24" fill="${fill}"/>`)
  steps.forEach((s, i) => {
    const y = 68 + i * row
    out.push(text(40, y, s.label, 17, c.ink), text(left - 24, y, say(s.change), 17, c.ink, 'text-anchor="end"'))
    bar(y, from[i]!, to[i]!, colour(s.change))
  })
  const y = 68 + steps.length * row
  out.push(text(40, y, total.label, 17, c.ink, 'font-weight="650"'), text(left - 24, y, say(total.change), 17, c.ink, 'text-anchor="end" font-weight="650"'))
  bar(y, 0, total.change, c.muted)
  out.push(text(40, y + row, now, 17, c.muted), `<line x1="${x(0)}" x2="${x(0)}" y1="40" y2="${y + 16}" stroke="${c.ink}"/>`)
  return { svg: out.join(''), height: y + row + 12 }
}
