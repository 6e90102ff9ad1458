import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { address, type Cell, get, type Kpi, type Scorecard, type ScorecardRow, type Table, type Values, valuesPath } from '../../api/client'
import type { components } from '../../api/schema'

// Questions about places (services, organisations, regions), and what their answers say of
// one place beside the nation.

export type Service = components['schemas']['Service']
export type Row = Table['rows'][number]

export const useTable = (name: 'services' | 'organisations' | 'regions', on?: string) =>
  useQuery({
    queryKey: [name, on ?? ''],
    queryFn: ({ signal }) => get<Table>(address(`/v1/${name}`, { on } as object), signal),
    placeholderData: keepPreviousData,
  })

export const useKpis = () => useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal) })

export const useCard = (question: { from?: string | undefined; to?: string | undefined; where?: string[] | undefined }, on = true) =>
  useQuery({
    queryKey: ['scorecard', question],
    queryFn: ({ signal }) => get<Scorecard>(address('/v1/scorecard', question), signal),
    placeholderData: keepPreviousData,
    enabled: on,
  })

// useParts is one KPI by the codes of a dimension, each beside the nation's figure.
export const useParts = (kpi: string | undefined, by: string | undefined, days: { from?: string | undefined; to?: string | undefined }, on = true) =>
  useQuery({
    queryKey: ['values', kpi, by, days, 'national'],
    queryFn: ({ signal }) => get<Values>(address(valuesPath(kpi!), { ...days, by, compare: 'national' }), signal),
    placeholderData: keepPreviousData,
    enabled: on && kpi !== undefined && by !== undefined,
  })

// dimensionOf is the dimension under which most KPIs know the codes of a table: services are
// counted by "service" in one pack, by "programme" in another.
export function dimensionOf(kpis: Kpi[], table: string): string | undefined {
  const times = new Map<string, number>()
  for (const kpi of kpis) for (const d of kpi.dimensions) if (d.to === table) times.set(d.name, (times.get(d.name) ?? 0) + 1)
  return [...times].sort((a, b) => b[1] - a[1])[0]?.[0]
}

// telling are the KPIs that have a dimension, and the one that the reader's rows are told by; those that
// somebody has asked for or published first, and among equals shares before counts, which say little but
// how large a place is.
export function telling(kpis: Kpi[], dimension: string, scope = dimension): Kpi[] {
  const kinds = ['target', 'result', 'claim']
  const rank = (k: Kpi) => Math.min(kinds.length, ...k.targets.map((t) => kinds.indexOf(t.kind))) + (k.unit === 'percent' ? 0 : kinds.length + 1)
  return kpis.filter((k) => [dimension, scope].every((name) => k.dimensions.some((d) => d.name === name))).map((k, i) => [k, i] as const).sort((a, b) => rank(a[0]) - rank(b[0]) || a[1] - b[1]).map(([k]) => k)
}

export const measured = (cell: Cell | null | undefined): cell is Cell & { value: number } => !!cell && (cell.state === 'value' || cell.state === 'zero') && cell.value !== null

// Against is one figure of a place beside the nation's.
export interface Against {
  row: ScorecardRow
  nation: Cell | null
  difference: number | null // here less the nation, in the unit
  share: number | null // of a sum: what part of the nation's is here, 0 to 1
  verdict: 'better' | 'worse' | 'same' | null // null: cannot be told, or neither is better
}

// A sum grows with the place: it is held against the nation as a part of it.
const sums = (unit: string) => unit === 'count' || /^[A-Z]{3}$/.test(unit) || unit === 'ha' || unit === 'bytes'

// The verdict wants cases enough, and a difference that chance does not explain: of a share
// two standard errors of the nation's share among so many cases, of other figures a twentieth.
const fewest = 30
const least = (unit: string, nation: number, cases: number) => (unit === 'percent' ? Math.max(0.05, 2 * Math.sqrt((nation * Math.max(0, 100 - nation)) / cases)) : Math.abs(nation) / 20)

// against holds every figure of a place against the nation's, by KPI. Figures of which
// the place has no case at all are left to silent. Only a place with inhabitants is judged by
// what falls to each of them.
export function against(here: ScorecardRow[], nation: ScorecardRow[], inhabited = true): { told: Against[]; silent: ScorecardRow[] } {
  const all = new Map(nation.map((row) => [row.kpi, row]))
  const told: Against[] = []
  const silent: ScorecardRow[] = []
  for (const row of here) {
    const cell = row.cell
    if (!cell || ((cell.state === 'not_applicable' || cell.state === 'zero') && !cell.cases)) {
      silent.push(row)
      continue
    }
    const whole = all.get(row.kpi)?.cell ?? null
    const one: Against = { row, nation: whole, difference: null, share: null, verdict: null }
    if (measured(cell) && measured(whole)) {
      if (sums(row.unit)) one.share = whole.value > 0 ? cell.value / whole.value : null
      else {
        one.difference = cell.value - whole.value
        const cases = cell.cases ?? 0
        if (row.direction !== 'neither' && cases >= fewest && (inhabited || !row.unit.startsWith('per_')))
          one.verdict = Math.abs(one.difference) < least(row.unit, whole.value, cases) ? 'same' : one.difference > 0 === (row.direction === 'up') ? 'better' : 'worse'
      }
    }
    told.push(one)
  }
  return { told, silent }
}

// furthest are the shares in which a place is furthest behind the nation or ahead of it, in points.
export const furthest = (told: Against[], verdict: 'better' | 'worse', most = 3): Against[] =>
  told.filter((a) => a.verdict === verdict && a.row.unit === 'percent').sort((a, b) => Math.abs(b.difference!) - Math.abs(a.difference!)).slice(0, most)
