import type { Change, HeldTarget, ScorecardRow } from '../../api/client'

// By which rule what has changed stands on the sheet. A minister asks first whether a target was
// missed or reached, then what is new and behind its target, then which months that had ended were
// another figure, then what moved most. A figure that is new has no move, and stands last: first what
// is worse than in the period before.

const behind: HeldTarget['status'][] = ['missed', 'off_course', 'at_risk', 'open']

// askedOf is the target that an act asks for of a figure.
export const askedOf = (row: ScorecardRow | undefined) => row?.targets.find((t) => t.kind === 'target')

const known = (c: Change) => c.was !== null && c.was.value !== null

// size is how far a figure moved: percentage points of a percentage, else percent of what it was.
// One that appeared or went counts as a hundred.
function size(c: Change): number {
  if (c.difference === null) return 100
  if (c.unit === 'percent' || c.difference === 0) return Math.abs(c.difference)
  return c.was?.value ? (100 * Math.abs(c.difference)) / Math.abs(c.was.value) : 100
}

// yearly is the same for a new figure, against the period before it; -1 where that is not known.
function yearly(c: Change): number {
  const before = c.now?.comparison
  return Math.abs((c.unit === 'percent' ? before?.difference : before?.change) ?? -1)
}

// rankOf is a list of numbers; what has the smaller first number stands first.
function rankOf(c: Change, row: ScorecardRow | undefined): number[] {
  const verdicts = c.targets.filter((t) => t.kind === 'target')
  if (verdicts.some((t) => t.status === 'missed')) return [0, -size(c)]
  if (verdicts.length) return [1, -size(c)]
  const target = askedOf(row)
  const standing = target ? behind.indexOf(target.status) : -1
  if (!known(c) && standing >= 0) return [2, standing, target!.value ? -(target!.gap ?? 0) / target!.value : 0]
  if (c.settled.some((month) => month.was !== null)) return [3, -size(c)]
  if (known(c)) return [4, -size(c)]
  const refuted = row?.targets.some((t) => t.holds === false) ?? false
  return [5, row?.trend === 'worse' ? 0 : 1, -yearly(c), refuted ? 0 : 1]
}

// inOrder puts what has changed in that order; what is alike stays as it came.
export function inOrder(changes: Change[], rows: ScorecardRow[] = []): Change[] {
  const row = new Map(rows.map((r) => [r.kpi, r]))
  return changes
    .map((change) => ({ change, rank: rankOf(change, row.get(change.kpi)) }))
    .sort((a, b) => a.rank.map((n, i) => n - (b.rank[i] ?? 0)).find((n) => n !== 0) ?? 0)
    .map(({ change }) => change)
}
