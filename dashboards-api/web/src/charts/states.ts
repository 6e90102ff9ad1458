import type { Cell } from '../api/client'

// measured says whether there is a number to draw. The other states are drawn as what they
// are: a hatched gap, a mark, nothing; never as zero.
export const measured = (cell: Pick<Cell, 'state' | 'value'>): boolean => (cell.state === 'value' || cell.state === 'zero') && cell.value !== null

// runsOf puts together the parts of a ranked list whose figure is the same to the last digit, where
// they are many: to draw each of them would hide those that differ. The others stand alone.
export function runsOf<T extends { cell: Cell }>(ranked: T[]): T[][] {
  const runs: T[][] = []
  for (const part of ranked) {
    const run = runs.at(-1)
    if (run && measured(part.cell) && run[0]!.cell.value === part.cell.value) run.push(part)
    else runs.push([part])
  }
  return runs.flatMap((run) => (run.length < leastAlike ? run.map((part) => [part]) : [run]))
}

const leastAlike = 8

// ranked orders cells by value, the largest first, then by weight; those without come last.
export function ranked<T extends { cell: Cell }>(parts: T[]): T[] {
  const rank = (c: Cell) => (measured(c) ? c.value! : -Infinity)
  return [...parts].sort((a, b) => {
    const by = rank(b.cell) - rank(a.cell)
    return Number.isNaN(by) || by === 0 ? (b.cell.denominator ?? 0) - (a.cell.denominator ?? 0) : by
  })
}
