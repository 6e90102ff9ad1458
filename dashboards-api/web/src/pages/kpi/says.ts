import type { Cell, Kpi, Values } from '../../api/client'
import { measured, ranked, runsOf } from '../../charts/states'
import { finding, partName, scopedTitle, type Voice } from '../../finding'
import { amount, dimensionValue, number, period, sign } from '../../format'
import { fill } from '../../words'
import { kpiWords } from './words'

// What the charts of the page say in a sentence. Pure, so that the three languages can be
// tested.

// headline is the title of the page: in how many regions, agencies or services the figure
// rose where they are what it is broken down by; else what finding makes of it.
export function headline(kpi: Kpi, whole: Values, parts: Values | undefined, by: string, voice: Voice): string {
  const said = kpiWords(voice.language)
  const to = kpi.dimensions.find((d) => d.name === by)?.to ?? ''
  const compared = (parts?.cells ?? []).filter((c) => measured(c) && dimensionValue(c, by) !== '' && c.comparison?.difference != null)
  if (whole.compare !== 'national' && to in said.rose && compared.length >= 2) {
    const rose = compared.filter((c) => c.comparison!.difference! > 0).length
    const fell = compared.filter((c) => c.comparison!.difference! < 0).length
    const texts: Record<string, string> = rose >= fell ? said.rose : said.fell
    return fill(texts[to]!, { title: scopedTitle(parts!, voice), n: Math.max(rose, fell), all: compared.length })
  }
  // Held against the whole there is no rise: only how far apart the parts are.
  const still = whole.compare === 'national' && parts ? { ...parts, cells: parts.cells.map(({ comparison: _, ...cell }) => cell as Cell) } : parts
  return finding(whole, still, by, voice)
}

// lineSays tells a line: where it begins and ends, its highest point, and how often nothing
// was reported.
export function lineSays(values: Values, voice: Voice): string {
  const said = kpiWords(voice.language)
  const say = (c: Cell) => amount(c.value!, values.unit, voice.language, voice.labels)
  const known = values.cells.filter(measured)
  const [first, last] = [known[0], known.at(-1)]
  if (!first || !last) return said.lineSaysNone
  if (first === last) return fill(said.lineSaysOne, { value: say(first), period: period(first.period, voice.language) })
  const out = [fill(said.lineSays, { first: say(first), firstPeriod: period(first.period, voice.language), last: say(last), lastPeriod: period(last.period, voice.language) })]
  const high = known.reduce((a, b) => (b.value! > a.value! ? b : a))
  if (high !== first && high !== last) out.push(fill(said.lineSaysHigh, { value: say(high), period: period(high.period, voice.language) }))
  const silent = values.cells.filter((c) => c.state === 'not_provided').length
  if (silent) out.push(fill(said.lineSaysGaps, { n: silent, all: values.cells.length }))
  return out.join('; ')
}

// partsSay tells a breakdown: how many of its parts are alike, where most are, and how far apart
// the others are.
export function partsSay(values: Values, by: string, voice: Voice): string {
  const said = kpiWords(voice.language)
  const known = values.cells.filter((c) => measured(c) && dimensionValue(c, by) !== '')
  const say = (c: Cell) => amount(c.value!, values.unit, voice.language, voice.labels)
  const most = runsOf(ranked(values.cells.filter(measured).map((cell) => ({ cell })))).reduce<{ cell: Cell }[]>((a, b) => (b.length > a.length ? b : a), [])
  const every = values.cells.filter(measured).length
  if (most.length > 1 && 2 * most.length >= every) return fill(most.length === every ? said.same : said.mostly, { value: say(most[0]!.cell), n: most.length, all: every })
  // A part of less than a hundredth of the cases is none to name.
  const all = known.reduce((sum, c) => sum + (c.denominator ?? 0), 0)
  const cells = known.filter((c) => (c.denominator ?? 0) >= all / 100)
  if (cells.length < 2) return ''
  const [high, low] = [cells.reduce((a, b) => (b.value! > a.value! ? b : a)), cells.reduce((a, b) => (b.value! < a.value! ? b : a))]
  const name = (c: Cell) => partName(values, by, dimensionValue(c, by), voice)
  return fill(said.spread, { low: say(low), lowName: name(low), high: say(high), highName: name(high) })
}

// exactly is a part of a change with all the digits that the answer has: parts that are
// told so add up.
export function exactly(v: number, unit: string, language: string): string {
  const digits = unit === 'count' ? 0 : Number.isInteger(v) && Math.abs(v) >= 1000 ? 0 : 2
  const text = number(Math.abs(v), language, digits)
  return sign(v, text) + text
}

// lastOf is the last whole quarter or month that ends by a day, as from and to.
export function lastOf(kind: 'quarter' | 'month', through: string): { from: string; to: string } {
  const day = (d: Date) => d.toISOString().slice(0, 10)
  const size = kind === 'quarter' ? 3 : 1
  const next = new Date(Date.parse(through) + 86_400_000)
  // The month after the last one that is over, then the begin of its quarter.
  const month = next.getUTCMonth() - (next.getUTCMonth() % size)
  const end = new Date(Date.UTC(next.getUTCFullYear(), month, 0))
  return { from: day(new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - size + 1, 1))), to: day(end) }
}
