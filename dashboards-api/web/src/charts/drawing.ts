import type { Table } from '../api/client'

// Maps are drawings of npm packages @svg-maps/<name>, CC BY 4.0. Which drawing a table of
// the pack has, and which of its places a row is, the pack says in a column map_<name>: the
// page knows no country.

export interface Place {
  key: string // the drawing's id; the second place of one id is id.2, the third id.3
  path: string
  middle: [number, number] | undefined // of its largest part; undefined where it cannot be told
  width: number
}

export interface Drawing {
  box: [number, number, number, number]
  places: Place[]
}

interface SvgMap {
  viewBox: string
  locations: { id: string; path: string }[]
}

// Every drawing that npm installed is a script of its own, fetched when it is shown.
const files = import.meta.glob<{ default: SvgMap }>('/node_modules/@svg-maps/*/index.js')

export const credit = { text: 'svg-maps, MapSVG (CC BY 4.0)', url: 'https://github.com/VictorCazanave/svg-maps' }

// fetchDrawing answers with null for a name that the build has no drawing of.
export async function fetchDrawing(name: string): Promise<Drawing | null> {
  const file = files[`/node_modules/@svg-maps/${name}/index.js`]
  return file ? read((await file()).default) : null
}

export function read(map: SvgMap): Drawing {
  const seen = new Map<string, number>()
  const places = map.locations.map(({ id, path }) => {
    const n = (seen.get(id) ?? 0) + 1
    seen.set(id, n)
    return { key: n === 1 ? id : `${id}.${n}`, path, ...middleOf(path) }
  })
  return { box: map.viewBox.split(/[\s,]+/).map(Number) as Drawing['box'], places }
}

const column = /^map_(.+)$/

// mapOf is the name of the drawing that a table of the pack lies on, and the place of each
// of its codes there; undefined without such a column.
export function mapOf(table: Table): { name: string; places: Map<string, string> } | undefined {
  const found = table.columns.find((c) => column.test(c))
  if (!found) return undefined
  const places = new Map(table.rows.flatMap((row) => (row.values[found] ? [[row.code, row.values[found]] as const] : [])))
  return { name: column.exec(found)![1]!, places }
}

// middleOf is the centroid and the width of the largest ring of a path of straight lines.
function middleOf(path: string): { middle: [number, number] | undefined; width: number } {
  const parts = path.match(/[a-zA-Z]|-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?/g) ?? []
  const rings: [number, number][][] = []
  let ring: [number, number][] = []
  let at: [number, number] = [0, 0]
  let command = ''
  for (let i = 0; i < parts.length; ) {
    if (/^[a-zA-Z]$/.test(parts[i]!)) {
      command = parts[i++]!
      if (!/[mlzMLZ]/.test(command)) return { middle: undefined, width: 0 }
      if (/[mM]/.test(command)) rings.push((ring = []))
      if (/[zZ]/.test(command) && ring[0]) at = ring[0]
      continue
    }
    const x = Number(parts[i++])
    const y = Number(parts[i++])
    at = command === command.toUpperCase() ? [x, y] : [at[0] + x, at[1] + y]
    ring.push(at)
  }
  let best: { middle: [number, number]; width: number; area: number } | undefined
  for (const points of rings) {
    let area = 0
    let x = 0
    let y = 0
    points.forEach(([x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length]!
      const cross = x1 * y2 - x2 * y1
      area += cross
      x += (x1 + x2) * cross
      y += (y1 + y2) * cross
    })
    if (area === 0 || (best && Math.abs(area) <= best.area)) continue
    const xs = points.map((p) => p[0])
    best = { middle: [x / (3 * area), y / (3 * area)], width: Math.max(...xs) - Math.min(...xs), area: Math.abs(area) }
  }
  return { middle: best?.middle, width: best?.width ?? 0 }
}
