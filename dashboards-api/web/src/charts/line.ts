import type { Cell, Target, Version } from '../api/client'
import { nameIn } from '../words'
import { measured } from './states'

// What a line over time has besides its points. Pure.

// A Flag stands at a period: from then on something held.
export interface Flag {
  at: number // index of the cell
  day: string
  kind: 'in_force' | 'due' | 'definition'
  act: string
}

// flags are the days within the line on which an act came into force or was due, and on
// which another definition began; acts by their names in a language.
export function flags(cells: Cell[], targets: Target[], versions: Version[], variant: string, language: string): Flag[] {
  const first = cells[0]?.from
  const last = cells.at(-1)?.to
  if (!first || !last) return []
  const out: Flag[] = []
  const add = (day: string | null, kind: Flag['kind'], act: string) => {
    if (!day || day < first || day > last) return
    const at = cells.findIndex((c) => c.from !== null && c.to !== null && c.from <= day && day <= c.to)
    if (at >= 0 && !out.some((f) => f.day === day && f.kind === kind)) out.push({ at, day, kind, act })
  }
  for (const t of targets) {
    if (t.variant !== variant || t.kind !== 'target') continue
    const act = nameIn(t.act_names, language, t.act)
    add(t.in_force, 'in_force', act)
    if (t.due_stated) add(t.due, 'due', act)
  }
  for (const v of versions) if (v.variant === variant && versions.some((o) => o.variant === variant && o.version < v.version)) add(v.valid.from, 'definition', v.source)
  return out.sort((a, b) => (a.day < b.day ? -1 : 1))
}

// gaps are the runs of cells for which no report was received, as first and last index.
export function gaps(cells: Cell[]): [number, number][] {
  const runs: [number, number][] = []
  cells.forEach((cell, i) => {
    if (cell.state !== 'not_provided') return
    const run = runs.at(-1)
    if (run && run[1] === i - 1) run[1] = i
    else runs.push([i, i])
  })
  return runs
}

// parts divide the points in those of the solid line and those of the line of what still
// arrives; the latter begins at the last point of the former.
export function parts(cells: Cell[]): { settled: (number | null)[]; arriving: (number | null)[] } {
  return {
    settled: cells.map((c) => (measured(c) && !c.open ? c.value : null)),
    arriving: cells.map((c, i) => (measured(c) && (c.open || cells[i + 1]?.open) ? c.value : null)),
  }
}

// steps is the target at each cell: nothing before its act was in force.
export const steps = (cells: Cell[], target: Target): (number | null)[] =>
  cells.map((c) => (!target.in_force || (c.to ?? '') >= target.in_force ? target.value : null))

// folded is a text in lines of at most so many letters, parted between words.
export function folded(text: string, most: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= most) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
