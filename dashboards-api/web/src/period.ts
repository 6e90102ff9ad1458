// Periods that a person can choose, as the from and to of the address.

export interface Days {
  from?: string | undefined
  to?: string | undefined
}

export interface Choice extends Days {
  key: string
  kind: 'year' | 'last' | 'all' | 'quarter'
  label?: string
}

const pad = (n: number) => String(n).padStart(2, '0')

// choices are the periods offered when data reach to a day (YYYY-MM-DD): three
// calendar years, the last twelve whole months, the quarters of the last year.
export function choices(through: string): Choice[] {
  const year = Number(through.slice(0, 4))
  const list: Choice[] = []
  for (let y = year; y > year - 3; y--) list.push({ key: String(y), kind: 'year', from: `${y}-01-01`, to: `${y}-12-31` })
  list.push({ key: 'last', kind: 'last', ...lastYear(through) })
  for (let q = Math.floor((Number(through.slice(5, 7)) - 1) / 3) + 1; q >= 1; q--) {
    list.push({ key: `${year}-Q${q}`, kind: 'quarter', from: `${year}-${pad(3 * q - 2)}-01`, to: lastDay(year, 3 * q) })
  }
  return list
}

export function lastDay(year: number, month: number): string {
  return `${year}-${pad(month)}-${pad(new Date(Date.UTC(year, month, 0)).getUTCDate())}`
}

function lastYear(through: string): Days {
  const year = Number(through.slice(0, 4))
  const month = Number(through.slice(5, 7))
  const start = new Date(Date.UTC(year, month - 12, 1))
  return { from: `${start.getUTCFullYear()}-${pad(start.getUTCMonth() + 1)}-01`, to: lastDay(year, month) }
}

// stepFor is the grain at which a span of days makes a line that can be read.
export function stepFor(days: Days): string {
  if (!days.from || !days.to) return 'month'
  const length = (Date.parse(days.to) - Date.parse(days.from)) / 86_400_000 + 1
  if (length <= 62) return 'day'
  if (length <= 183) return 'week'
  if (length <= 5 * 366) return 'month'
  return 'year'
}

// isDay says whether a text is a day of the calendar, YYYY-MM-DD.
export function isDay(text: unknown): text is string {
  if (typeof text !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const at = Date.parse(text)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text) // 30 February is read as 1 March
}
