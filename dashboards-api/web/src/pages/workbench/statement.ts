// Parameter is a place {name:Type} of a statement that takes a value.
export interface Parameter {
  name: string
  type: string
}

// What may hold braces that are no places: comments and quoted text and names.
const hidden = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`/g
const place = /\{\s*([A-Za-z_]\w*)\s*:\s*([A-Za-z_][\w() ,]*?)\s*\}/g

// parameters are the places of a statement in their order, each once.
export function parameters(sql: string): Parameter[] {
  const found = new Map<string, Parameter>()
  for (const [, name, type] of sql.replace(hidden, ' ').matchAll(place)) if (!found.has(name!)) found.set(name!, { name: name!, type: type! })
  return [...found.values()]
}

// unfilled are the places to which nothing was given although only a text may be empty.
export const unfilled = (places: Parameter[], given: Record<string, string>): Parameter[] => places.filter((p) => !given[p.name] && !/^(Fixed)?String/.test(without(p.type)))

// without takes the wrappers off a type: LowCardinality(Nullable(String)) is String.
const without = (type: string): string => {
  const inner = /^(?:LowCardinality|Nullable|SimpleAggregateFunction)\((?:\w+, )?(.*)\)$/.exec(type)
  return inner ? without(inner[1]!) : type
}

export const isNumber = (type: string) => /^(U?Int|Float|Decimal|BFloat)/.test(without(type))
export const isTime = (type: string) => /^(Date|DateTime)/.test(without(type))

// numberOf is a cell as a number: numbers of more than 53 bits come as text.
export function numberOf(cell: unknown): number | undefined {
  const n = typeof cell === 'number' ? cell : typeof cell === 'string' && cell !== '' ? Number(cell) : NaN
  return Number.isFinite(n) ? n : undefined
}

// textOf is a cell as a person reads it; nothing is told apart from an empty text by who draws it.
export const textOf = (cell: unknown): string => (typeof cell === 'string' ? cell : typeof cell === 'object' ? JSON.stringify(cell) : String(cell))

export interface Drawing {
  kind: 'line' | 'bars'
  x: number // column of what is told apart
  y: number // column of the figure
}

// drawing is how a result would be drawn, unless its reader chooses: the last column of
// numbers over the first of days or times as a line, over the first of anything else as bars.
export function drawing(columns: { type: string }[]): Drawing | undefined {
  const y = columns.findLastIndex((c) => isNumber(c.type))
  if (y < 0) return undefined
  const time = columns.findIndex((c, i) => i !== y && isTime(c.type))
  if (time >= 0) return { kind: 'line', x: time, y }
  const name = columns.findIndex((c, i) => i !== y && !isNumber(c.type))
  const x = name >= 0 ? name : columns.findIndex((_, i) => i !== y)
  return x < 0 ? undefined : { kind: 'bars', x, y }
}

export interface Point { x: string; of: string; y: number | undefined }

// linesOf are the points as lines, one for each of what they are of, over places that all have in
// common; clash is whether some line has several points at one place.
export function linesOf(points: Point[]): { at: string[]; lines: { of: string; values: (number | null)[] }[]; clash: boolean } {
  const at = [...new Set(points.map((p) => p.x))]
  const place = new Map(at.map((x, i) => [x, i]))
  const lines = new Map<string, (number | null)[]>()
  const seen = new Set<string>()
  for (const { x, of, y } of points) {
    const values = lines.get(of) ?? at.map(() => null)
    values[place.get(x)!] = y ?? null
    lines.set(of, values)
    seen.add(JSON.stringify([x, of]))
  }
  return { at, lines: [...lines].map(([of, values]) => ({ of, values })), clash: seen.size < points.length }
}

// place in a text of the words after "line L, column C" of an error, 1-based; undefined when it
// names none. The engine counts bytes, which is the same for what statements are made of.
export function lineOf(message: string): number | undefined {
  const found = /\(line (\d+), col/.exec(message)
  return found ? Number(found[1]) : undefined
}
