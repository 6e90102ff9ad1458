import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { address, get, type Kpi } from '../../api/client'
import type { components } from '../../api/schema'
import type { Voice } from '../../finding'
import { compact, day, number } from '../../format'
import { fill } from '../../words'
import type { Said } from './words'

// Questions about projects, and what their answers say. What is computed here is pure.

type Schemas = components['schemas']
export type Project = Schemas['Project']
export type Projects = Schemas['Projects']
export type Detail = Schemas['ProjectDetail']
export type Finding = Schemas['ProjectFinding']
export type Attention = Schemas['Attention']
export type Summary = Schemas['PortfolioSummary']
export type Targets = Schemas['Targets']
export type Duplicate = Schemas['Duplicate']

export interface Asked {
  on?: string | undefined
  agency?: string | undefined
  stage?: string | undefined
  status?: string | undefined
  priority?: string | undefined
  programme?: string | undefined
  serves?: string | undefined
  rule?: string | undefined
}

// The whole portfolio comes in one answer: the views sort and draw all of it.
const everything = '10000'

// useProjects and useAttention ask nothing while it is not known what to ask.
export const useProjects = (asked: Asked | undefined) =>
  useQuery({ queryKey: ['projects', asked ?? null], queryFn: ({ signal }) => get<Projects>(address('/v1/projects', { ...asked, limit: everything } as object), signal), placeholderData: keepPreviousData, enabled: asked !== undefined })

export const useAttention = (asked: Asked | undefined) =>
  useQuery({ queryKey: ['attention', asked ?? null], queryFn: ({ signal }) => get<Attention>(address('/v1/portfolio/attention', { ...asked } as object), signal), placeholderData: keepPreviousData, enabled: asked !== undefined })

export const useSummary = (asked: Asked, by: string) =>
  useQuery({ queryKey: ['portfolio', asked, by], queryFn: ({ signal }) => get<Summary>(address('/v1/portfolio', { ...asked, by } as object), signal), placeholderData: keepPreviousData })

// dayOf is the day of which a portfolio is shown when nobody has chosen one: today, except
// where everything in it is simulated: then the last day of the simulation. Real data that
// have stopped are seen from today, because who is silent must be seen.
export function dayOf(today: Pick<Projects, 'on' | 'data_through' | 'figures'>): string {
  const { figures, data_through: through } = today
  return through && through < today.on && figures.projects > 0 && figures.simulated === figures.projects ? through : today.on
}

// daysBetween counts the days from one day to another; negative when it lies before.
export const daysBetween = (from: string, to: string): number => Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000)

// Data of a portfolio that are older than this many days are told to be old.
export const oldAfter = 45

// minor is how many units of the currency's smallest coin make one of it (ISO 4217).
export function minor(currency: string): number {
  try {
    return 10 ** (new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2)
  } catch {
    return 1 // no currency is declared: amounts stand as they were sent
  }
}

// money is an amount of the smallest coin in words of magnitude, with the currency as the pack
// names it: "2.2 billion UZS".
export function money(amount: number | null | undefined, currency: string, { language, labels }: { language: string; labels: Record<string, string> }): string {
  if (amount == null) return ''
  return `${compact(amount / minor(currency), language, 1)}\u00a0${labels[`unit.${currency}`] ?? currency}`
}

// percentOf is a part of a whole in percent; null where there is no whole.
export const percentOf = (part: number | null, whole: number | null): number | null => (part === null || whole === null || whole <= 0 ? null : (100 * part) / whole)

// foundText says what a rule found, in the reader's language. A rule that this page does not
// know is told in the server's words.
export function foundText(finding: Finding, said: Said, voice: Voice, kpis: Kpi[] | undefined, name: (project: string) => string): string {
  const f = finding.facts
  const on = (key: string) => (f[key] ? day(f[key], voice.language) : '')
  const kpi = f.indicator ? (kpis?.find((k) => k.id === f.indicator)?.title[voice.language] ?? f.indicator) : ''
  const project = f.project ? name(f.project) : ''
  const texts = said.found
  switch (finding.rule) {
    case 'report-missing': return f.last ? fill(texts.reportMissing, { last: on('last'), due: on('due') }) : fill(texts.neverReported, { due: on('due') })
    case 'report-due': return fill(texts.reportDue, { due: on('due') })
    case 'milestone-overdue':
    case 'milestone-due': {
      const milestone = f.name ? `${f.milestone} (${f.name})` : f.milestone ?? ''
      return f.first_due ? fill(texts.milestoneMoved, { name: milestone, due: on('due'), first: on('first_due') }) : fill(texts.milestone, { name: milestone, due: on('due') })
    }
    case 'promise-missed':
    case 'promise-unmeasured':
    case 'promise-due': return fill(texts.promise, { indicator: kpi, due: on('due') })
    case 'claim-differs': return fill(f.said === 'true' ? texts.saidMet : texts.saidMissed, { indicator: kpi })
    case 'overspent': return fill(f.of === 'budgeted' ? texts.overspentBudgeted : texts.overspentContracted, { percent: f.percent ?? '' })
    case 'rating-low': return fill(f.by === 'expert' ? texts.ratingExpert : texts.rating, { rating: number(Number(f.rating), voice.language, 1) })
    case 'risk-high': return f.risk ?? finding.words
    case 'replanned-often': return fill(texts.replanned, { times: f.times ?? '' })
    case 'no-milestones': return texts.noMilestones
    case 'dependency-cycle': return fill(texts.cycle, { projects: (f.projects ?? '').split(' ').map(name).join(' → ') })
    case 'dependency-ended': return f.ended ? fill(texts.goneEnded, { project, ended: on('ended') }) : fill(texts.goneUnknown, { project })
    case 'dependency-late': return f.overdue ? fill(texts.lateMilestones, { project, overdue: f.overdue }) : f.last ? fill(texts.lateReport, { project, last: on('last') }) : fill(texts.lateNever, { project })
  }
  return finding.words
}

export const median = (sorted: number[]): number => {
  const half = sorted.length / 2
  return sorted.length === 0 ? NaN : Number.isInteger(half) ? (sorted[half - 1]! + sorted[half]!) / 2 : sorted[Math.floor(half)]!
}

export interface InStage {
  stage: string
  projects: { project: Project; days: number }[] // by days, the longest first
  median: number
}

// columns are the projects of a stage counted by days in it, in equal steps up to the most days
// of any stage, each by how grave what needs attention is (0, nothing, to 3).
export function columns(of: InStage['projects'], most: number, steps: number, rules: Attention['rules']): [number, number, number, number][] {
  const all = Array.from({ length: steps }, (): [number, number, number, number] => [0, 0, 0, 0])
  for (const { project, days } of of) all[Math.min(steps - 1, Math.floor((steps * days) / (most + 1)))]![gravest(project, rules)]! += 1
  return all
}

// stagesOf are the active projects by the stage that they stand in, in the order in which the
// pack's labels tell stages; stages that it does not tell come last.
export function stagesOf(projects: Project[], on: string, order: string[]): InStage[] {
  const stages = new Map<string, InStage>()
  for (const project of projects) {
    if (project.status !== 'active') continue
    const since = project.stage_since ?? project.registered_on
    if (!since) continue
    const one = stages.get(project.stage) ?? { stage: project.stage, projects: [], median: 0 }
    one.projects.push({ project, days: daysBetween(since, on) })
    stages.set(project.stage, one)
  }
  const place = (stage: string) => (order.includes(stage) ? order.indexOf(stage) : order.length)
  for (const one of stages.values()) {
    one.projects.sort((a, b) => b.days - a.days)
    one.median = median(one.projects.map((p) => p.days).reverse())
  }
  return [...stages.values()].sort((a, b) => place(a.stage) - place(b.stage))
}

export interface DueMonth {
  month: string // YYYY-MM
  before?: true // of everything before that month
  projects: Project[]
  overdue: boolean // the month has ended, or some of it has and a date in it has passed
}

const byMonth = 6 // months before this one that are told one by one

// dueBy are active projects by the month of their next due date, without gaps between the
// first and the last. What was due long ago is told together.
export function dueBy(projects: Project[], on: string): DueMonth[] {
  let oldest = on.slice(0, 7)
  for (let i = 0; i < byMonth; i++) oldest = monthBefore(oldest)
  const earlier: DueMonth = { month: oldest, before: true, projects: [], overdue: true }
  const months = new Map<string, DueMonth>()
  for (const project of projects) {
    const due = project.milestones.next_due
    if (project.status !== 'active' || !due) continue
    const month = due.slice(0, 7)
    const one = month < oldest ? earlier : (months.get(month) ?? { month, projects: [], overdue: due < on })
    one.projects.push(project)
    one.overdue ||= due < on
    if (one !== earlier) months.set(month, one)
  }
  const told = [...months.keys()].sort()
  const all = earlier.projects.length ? [earlier] : []
  for (let at = told[0]; at && at <= told[told.length - 1]!; at = nextMonth(at)) all.push(months.get(at) ?? { month: at, projects: [], overdue: at < on.slice(0, 7) })
  return all
}

function monthBefore(month: string): string {
  const [year, m] = month.split('-').map(Number) as [number, number]
  return m === 1 ? `${year - 1}-12` : `${year}-${String(m - 1).padStart(2, '0')}`
}

export function nextMonth(month: string): string {
  const [year, m] = month.split('-').map(Number) as [number, number]
  return m === 12 ? `${year + 1}-01` : `${year}-${String(m + 1).padStart(2, '0')}`
}

// isFresh is whether what a rule found began in the week up to a day; what has no beginning is not.
export const isFresh = (finding: Pick<Finding, 'since'>, on: string): boolean => !!finding.since && finding.since <= on && daysBetween(finding.since, on) < 7

// gravest is the severity of the gravest rule that a project breaks; 0 when it breaks none.
export const gravest = (project: Project, rules: Attention['rules']): number => Math.max(0, ...project.attention.map((id) => rules.find((r) => r.rule === id)?.severity ?? 0))

export interface Happening {
  on: string
  kind: 'recommended' | 'accepted' | 'registered' | 'ended' | 'stage' | 'replanned' | 'reached' | 'report' | 'risk' | 'measured'
  facts: Record<string, string>
  note?: string
}

// storyOf is everything dated that is known of a project, the newest first.
export function storyOf(d: Detail): Happening[] {
  const all: Happening[] = []
  const put = (on: string | null | undefined, kind: Happening['kind'], facts: Record<string, string> = {}, note?: string) => on && all.push({ on, kind, facts, ...(note ? { note } : {}) })
  put(d.recommended_on, 'recommended')
  put(d.accepted_on, 'accepted')
  put(d.project.registered_on, 'registered')
  for (const s of d.stages) put(s.on, 'stage', { stage: s.stage })
  for (const r of d.replans) put(r.on, 'replanned', { milestone: r.milestone, old: r.old_due ?? '', new: r.new_due ?? '', reason: r.reason ?? '' }, r.explanation ?? '')
  for (const m of d.milestones) put(m.reached_on, 'reached', { milestone: m.name ? `${m.milestone} (${m.name})` : m.milestone })
  for (const r of d.reports) put(r.on, 'report', { percent: r.percent === null ? '' : String(r.percent) }, r.evidence)
  for (const r of d.risks) put(r.on, 'risk', { what: r.what || r.risk })
  for (const p of d.promises) put(p.measured_on, 'measured', { indicator: p.indicator, value: p.value === null ? '' : String(p.value) })
  put(d.ended_on, 'ended')
  return all.sort((a, b) => (a.on < b.on ? 1 : a.on > b.on ? -1 : 0))
}
