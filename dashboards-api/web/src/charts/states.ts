import type { Cell } from '../api/client'

// measured says whether there is a number to draw. The other states are drawn as what they
// are: a hatched gap, a mark, nothing; never as zero.
export const measured = (cell: Pick<Cell, 'state' | 'value'>): boolean => (cell.state === 'value' || cell.state === 'zero') && cell.value !== null

// alikeOf are the parts of a figure that say the same, when they are many and at least half of all:
// to draw each of them would hide those that differ. say is how a figure is written.
export function alikeOf<T extends { cell: Cell }>(parts: T[], say: (cell: Cell) => string): { alike: T[]; rest: T[] } {
  const known = parts.filter((p) => measured(p.cell))
  const groups = new Map<string, T[]>()
  for (const part of known) groups.set(say(part.cell), [...(groups.get(say(part.cell)) ?? []), part])
  const alike = [...groups.values()].reduce<T[]>((most, group) => (group.length > most.length ? group : most), [])
  if (alike.length < leastAlike || 2 * alike.length < known.length) return { alike: [], rest: parts }
  const folded = new Set(alike)
  return { alike, rest: parts.filter((p) => !folded.has(p)) }
}

const leastAlike = 6

// ranked orders cells by value, the largest first, then by weight; those without come last.
export function ranked<T extends { cell: Cell }>(parts: T[]): T[] {
  const rank = (c: Cell) => (measured(c) ? c.value! : -Infinity)
  return [...parts].sort((a, b) => {
    const by = rank(b.cell) - rank(a.cell)
    return Number.isNaN(by) || by === 0 ? (b.cell.denominator ?? 0) - (a.cell.denominator ?? 0) : by
  })
}
