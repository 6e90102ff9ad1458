import type { components } from '../../api/schema'
import { fill } from '../../words'

// What is known of senders and their events, and what the page makes of it. Pure.

type Schemas = components['schemas']
export type Status = Schemas['Status']
export type Source = Status['sources'][number]
export type Quality = Schemas['Quality']
export type QualityRow = Schemas['QualityRow']
export type Finding = Schemas['Finding']
export type HeldEvents = Schemas['HeldEvents']
export type HeldEvent = Schemas['HeldEvent']
export type HeldDetail = Schemas['HeldDetail']
export type Letter = Schemas['Letter']

const simulation = 'simulation/'

// Sender is an expected source with what came of its events.
export interface Sender {
  source: Source
  state: 'kept' | 'late' | 'silent' | 'simulated' | 'none'
  newest: string | null // an instant; of the simulation where only that sent
  accepted: number
  closings: number // events by which it closed a period
  simulated: number // events of the simulation in its place
}

// sendersOf are the expected sources, those that need somebody first; of a reader who sees the rows of
// one owner, that owner's. What a simulation sent stands under the system in whose place it did, and
// never makes it keep its promise.
export function sendersOf(sources: Source[], rows: QualityRow[], owner?: string): Sender[] {
  const of = (id: string) => rows.filter((r) => r.source === id)
  const accepted = (list: QualityRow[]) => list.reduce((n, r) => n + r.accepted, 0)
  const newest = (list: QualityRow[]) => list.map((r) => r.last_event).filter((d): d is string => d !== null).sort((a, b) => Date.parse(b) - Date.parse(a))[0] ?? null
  const order: Sender['state'][] = ['late', 'silent', 'simulated', 'kept', 'none']
  const expected = new Set(sources.map((s) => s.source))
  return sources
    .filter((s) => !s.source.startsWith(simulation) || !expected.has(expectedOf(s.source)))
    .filter((s) => owner === undefined || s.owner === owner)
    .map((source): Sender => {
      const own = of(source.source)
      const twin = of(simulation + source.source)
      const state = source.last_event === null ? (accepted(twin) > 0 ? 'simulated' : source.promise_seconds > 0 ? 'silent' : 'none') : source.late ? 'late' : source.promise_seconds > 0 ? 'kept' : 'none'
      const closings = [...own, ...twin].filter((r) => /\.period\.closed\.v\d+$/.test(r.type))
      return { source, state, newest: source.last_event ?? newest(twin), accepted: Math.max(source.events, accepted(own)), closings: accepted(closings), simulated: accepted(twin) }
    })
    .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.source.source.localeCompare(b.source.source))
}

// age is how long ago something was, in the largest whole unit.
export function age(seconds: number): { unit: 'days' | 'hours' | 'minutes'; n: number } {
  if (seconds >= 2 * 86_400) return { unit: 'days', n: Math.floor(seconds / 86_400) }
  if (seconds >= 3600) return { unit: 'hours', n: Math.floor(seconds / 3600) }
  return { unit: 'minutes', n: Math.max(1, Math.floor(seconds / 60)) }
}

// Gap is what is missing of one source in one month.
export interface Gap {
  whole: boolean // nothing for the month
  days: number // silent, where it is a part
}

export interface Gaps {
  months: string[] // without gaps between them, the last of many
  sources: { source: string; by: Map<string, Gap> }[]
}

// gapsOf lays findings of silence and of missing periods out by source and month.
export function gapsOf(findings: Finding[], most = 18): Gaps {
  const sources = new Map<string, Map<string, Gap>>()
  for (const f of findings) {
    if ((f.rule !== 'silence' && f.rule !== 'missing-period') || !f.from || !f.to) continue
    const by = sources.get(f.source) ?? new Map<string, Gap>()
    sources.set(f.source, by)
    for (let month = f.from.slice(0, 7); month <= f.to.slice(0, 7); month = after(month)) {
      const first = `${month}-01` > f.from ? `${month}-01` : f.from
      const end = lastOf(month) < f.to ? lastOf(month) : f.to
      const days = Math.round((Date.parse(end) - Date.parse(first)) / 86_400_000) + 1
      const before = by.get(month)
      const whole = f.rule === 'missing-period' || days >= Number(lastOf(month).slice(8))
      by.set(month, { whole: whole || (before?.whole ?? false), days: days + (before?.days ?? 0) })
    }
  }
  const all = [...new Set([...sources.values()].flatMap((by) => [...by.keys()]))].sort()
  const months: string[] = []
  if (all.length) for (let m = all[0]!; m <= all[all.length - 1]!; m = after(m)) months.push(m)
  const last = months.slice(-most)
  return { months: last, sources: [...sources].filter(([, by]) => last.some((m) => by.has(m))).sort((a, b) => a[0].localeCompare(b[0])).map(([source, by]) => ({ source, by })) }
}

const after = (month: string): string => (month.endsWith('-12') ? `${Number(month.slice(0, 4)) + 1}-01` : `${month.slice(0, 5)}${String(Number(month.slice(5)) + 1).padStart(2, '0')}`)
const lastOf = (month: string): string => `${month}-${new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).getUTCDate()}`

// expectedOf is the expected source of which an id is told: its own, or that in whose place a
// simulation stands.
export const expectedOf = (id: string): string => (id.startsWith(simulation) ? id.slice(simulation.length) : id)

// refusalOf says in words what is wrong with an event, by the code of its fault; what a code alone
// does not say, of which table or rule, stands in the reason. known is false where the reason says
// more than the words do.
export function refusalOf({ code, reason }: { code: string; reason: string }, said: Record<string, string>): { text: string; known: boolean } {
  const words = said[code]
  if (words === undefined) return { text: '', known: false }
  const found = code === 'unknown_reference' ? /table (?<table>[^\s,]+),/.exec(reason) : code === 'rule_broken' ? /the rule (?<rule>\S+) does not hold: (?<check>.+)$/s.exec(reason) : undefined
  if (found === null) return { text: '', known: false }
  return { text: fill(words, found?.groups ?? {}), known: found !== undefined || code === 'missing_field' || code === 'conflict' }
}

// valueOf reads what somebody typed as the value of a field: JSON where it is some, a text
// else. Nothing typed takes the field away.
export function valueOf(text: string): unknown {
  if (text.trim() === '') return null
  try {
    const read: unknown = JSON.parse(text)
    return typeof read === 'object' && read !== null ? text : read
  } catch {
    return text
  }
}
