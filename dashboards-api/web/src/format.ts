import type { Cell } from './api/client'
import { fill, wordsOf } from './words'

// Numbers, days and periods as people write them in a language. Pure: the same
// input gives the same text.

// Browsers carry no Uzbek: its numbers are written as the Russian ones are (CLDR),
// its months and magnitudes stand below.
const locales: Record<string, string> = { uz: 'ru-RU', ru: 'ru-RU', en: 'en-GB' }
const uzMonths = ['yanvar', 'fevral', 'mart', 'aprel', 'may', 'iyun', 'iyul', 'avgust', 'sentabr', 'oktabr', 'noyabr', 'dekabr']
const uzShortMonths = uzMonths.map((month) => (month.startsWith('iyu') ? 'iy' + month[3] : month.slice(0, 3))) // June and July are told apart: iyn, iyl
const magnitudes: [number, Record<string, string>][] = [
  [1e12, { uz: 'trln', ru: 'трлн', en: 'trillion' }], [1e9, { uz: 'mlrd', ru: 'млрд', en: 'billion' }],
  [1e6, { uz: 'mln', ru: 'млн', en: 'million' }], [1e3, { uz: 'ming', ru: 'тыс.', en: 'thousand' }],
]
export const localeOf = (language: string) => locales[language] ?? 'en-GB'

const space = '\u00a0' // keeps a number and its unit on one line

// A format is made once: making one takes a browser longer than a hundred uses of it.
const numberFormats = new Map<string, Intl.NumberFormat>()
const dateFormats = new Map<string, Intl.DateTimeFormat>()

function kept<F>(formats: Map<string, F>, key: string, make: () => F): F {
  const found = formats.get(key) ?? make()
  formats.set(key, found)
  return found
}

const numberFormat = (language: string, options: Intl.NumberFormatOptions) =>
  kept(numberFormats, language + JSON.stringify(options), () => new Intl.NumberFormat(localeOf(language), options))

// dateFormat is of civil days, which have no zone.
const dateFormat = (language: string, options: Intl.DateTimeFormatOptions) =>
  kept(dateFormats, language + JSON.stringify(options), () => new Intl.DateTimeFormat(localeOf(language), { ...options, timeZone: 'UTC' }))

export function number(value: number, language: string, digits = 0): string {
  return numberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
}

// digitsOf is how many digits after the point a value of a unit is told with.
function digitsOf(value: number, unit: string): number {
  if (unit === 'percent') return 1
  if (unit === 'ratio') return 2
  if (unit === 'count' || Number.isInteger(value)) return 0
  if (isRate(unit) && Math.abs(value) < 10) return 2
  return Math.abs(value) < 100 ? 1 : 0
}

// isRate says whether a unit is so many of something for each of something else.
export const isRate = (unit: string): boolean => unit.startsWith('per_')

// amount is a number with its unit: "74.0 %", "8,300,000", "3.5 h", "1.2 TB".
// A unit that the page does not know is a currency or a noun of the pack, told by
// labels or as it stands.
export function amount(value: number, unit: string, language: string, labels: Record<string, string> = {}): string {
  const words = wordsOf(language)
  if (unit === 'bytes') return bytes(value, language)
  // Less than an hour is told in minutes, less than a minute in seconds.
  if (unit === 'hours' && value !== 0 && Math.abs(value) < 1) return amount(value * 60, 'minutes', language)
  if (unit === 'minutes' && value !== 0 && Math.abs(value) < 1) return number(value * 60, language) + space + words.unit.seconds
  const text = Math.abs(value) >= 1e9 ? compact(value, language, 1) : number(value, language, digitsOf(value, unit))
  if (unit === 'count' || unit === 'ratio' || unit === '') return text
  const known = unit === 'days' && text === '1' ? words.oneDay : unit in words.unit ? words.unit[unit as keyof typeof words.unit] : (labels[`unit.${unit}`] ?? unit)
  return language === 'uz' && isRate(unit) ? known + space + text : text + space + known // "har 1000 aholiga 1,87"
}

// compact is a large number in words of magnitude: "412.8 billion".
export function compact(value: number, language: string, digits = 0): string {
  const found = magnitudes.find(([size]) => Math.abs(value) >= size)
  if (!found) return number(value, language, digits)
  const scaled = value / found[0]
  return number(scaled, language, Number.isInteger(scaled) ? 0 : Math.max(digits, 1)) + space + (found[1][language] ?? found[1].en)
}

// bound is a published figure with the digits that it was published with.
export function bound(value: number, unit: string, language: string, labels?: Record<string, string>): string {
  if (unit === 'percent') return numberFormat(language, { maximumFractionDigits: 2 }).format(value) + space + wordsOf(language).unit.percent
  return amount(value, unit, language, labels)
}

function bytes(value: number, language: string): string {
  const steps = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']
  let step = 0
  while (Math.abs(value) >= 1000 && step < steps.length - 1) {
    value /= 1000
    step++
  }
  return number(value, language, step === 0 ? 0 : 1) + space + steps[step]
}

// difference is a change in the unit: percentages change by points.
export function difference(value: number, unit: string, language: string, labels?: Record<string, string>): string {
  if (unit === 'percent') return fill(wordsOf(language).points, { value: number(Math.abs(value), language, 1) })
  return amount(Math.abs(value), unit, language, labels)
}

// inPoints is the heading of a column of signed differences, with points where these are its unit.
export const inPoints = (heading: string, unit: string, language: string): string =>
  unit === 'percent' ? `${heading}, ${fill(wordsOf(language).points, { value: '' }).trim()}` : heading

// signed is a difference with its sign, for tables.
export function signed(value: number, unit: string, language: string): string {
  const text = unit === 'percent' ? number(Math.abs(value), language, 1) : amount(Math.abs(value), unit, language)
  return sign(value, text) + text
}

// sign stands before a difference: none before one that is told as nothing; the minus is U+2212.
export const sign = (value: number, text: string): string => (/[1-9]/.test(text) ? (value > 0 ? '+' : '−') : '')

export function day(iso: string, language: string): string {
  const date = new Date(iso.slice(0, 10) + 'T00:00:00Z')
  if (language === 'uz') return `${iso.slice(0, 4)}-yil ${Number(iso.slice(8, 10))}-${monthName(date, language, 'long')}`
  return dateFormat(language, { day: 'numeric', month: 'long', year: 'numeric' }).format(date).replace(/ г\.$/, '')
}

function monthName(date: Date, language: string, length: 'long' | 'short'): string {
  if (language === 'uz') return (length === 'long' ? uzMonths : uzShortMonths)[date.getUTCMonth()]!
  return dateFormat(language, { month: length }).format(date)
}

// dayAndMonth is a day on an axis: "1 Apr", "1-apr".
const dayAndMonth = (date: Date, language: string): string =>
  language === 'uz' ? `${date.getUTCDate()}-${monthName(date, language, 'short')}` : dateFormat(language, { day: 'numeric', month: 'short' }).format(date)

// shortDay is a day where room is scarce: "31 Dec 2024", "31.12.2024".
export function shortDay(iso: string, language: string): string {
  const date = new Date(iso.slice(0, 10) + 'T00:00:00Z')
  if (language === 'uz') return `${iso.slice(8, 10)}.${iso.slice(5, 7)}.${iso.slice(0, 4)}`
  return dateFormat(language, { day: 'numeric', month: 'short', year: 'numeric' }).format(date).replace(/ г\.$/, '')
}

// dayOfMoment is the civil day of an instant in the pack's zone.
export const dayOfMoment = (iso: string, zone: string, language: string) => day(isoDayOfMoment(iso, zone), language)

export function isoDayOfMoment(iso: string, zone: string): string {
  return kept(dateFormats, 'day ' + zone, () => new Intl.DateTimeFormat('en-CA', { timeZone: zone })).format(new Date(iso))
}

// isOver says whether a civil day is over in a zone.
export const isOver = (iso: string, zone: string): boolean => iso < isoDayOfMoment(new Date().toISOString(), zone)

// plain is what a rule found, with its days as a language writes them; a unit that ends in a point
// ends the sentence too.
export const plain = (text: string, language: string): string =>
  text.replace(/(\d{4}-\d{2}-\d{2})\/(?=\d{4}-)/g, '$1 – ').replace(/\d{4}-\d{2}-\d{2}/g, (day) => shortDay(day, language)).replace(/\.\.$/, '.')

// moment is an instant to the minute in the pack's zone: "31 Dec 2024, 23:05".
export function moment(iso: string, zone: string, language: string): string {
  const time = kept(dateFormats, 'time ' + zone, () => new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' }))
  return `${shortDay(isoDayOfMoment(iso, zone), language)}, ${time.format(new Date(iso))}`
}

function monthText(iso: string, language: string, length: 'long' | 'short', withYear = true): string {
  if (language === 'uz') {
    const name = monthName(new Date(iso + '-01T00:00:00Z'), language, length)
    return withYear ? `${iso.slice(0, 4)}-yil ${name}` : name
  }
  return dateFormat(language, { month: length, ...(withYear ? { year: 'numeric' } : {}) })
    .format(new Date(iso + '-01T00:00:00Z'))
    .replace(/ г\.$/, '')
}

const wholeYear = /^(\d{4})-01-01\/(\d{4})-12-31$/

// weekOf is the first day of a week as 2024-W14 names it (ISO 8601: the week of 4 January is the
// first); undefined for what names no week.
function weekOf(text: string): Date | undefined {
  const found = /^(\d{4})-W(\d{2})$/.exec(text)
  if (!found) return undefined
  const fourth = new Date(`${found[1]}-01-04T00:00:00Z`)
  return new Date(fourth.getTime() + ((Number(found[2]) - 1) * 7 - ((fourth.getUTCDay() + 6) % 7)) * 86_400_000)
}

// weekText is a week by its number and its days: "week 14, 1–7 April 2024".
function weekText(text: string, first: Date, language: string): string {
  const n = Number(text.slice(6))
  const last = new Date(first.getTime() + 6 * 86_400_000)
  const [from, to] = [day(first.toISOString(), language), day(last.toISOString(), language)]
  const uz = language === 'uz'
  const days =
    first.getUTCFullYear() !== last.getUTCFullYear() ? `${from} – ${to}`
    : first.getUTCMonth() !== last.getUTCMonth() ? (uz ? `${from} – ${to.replace(/^\S+ /, '')}` : `${from.replace(/ \S+$/, '')} – ${to}`)
    : uz ? to.replace(' ', ` ${first.getUTCDate()}–`) : `${first.getUTCDate()}–${to}`
  return uz ? `${days}, ${n}-hafta` : `${language === 'ru' ? 'нед.' : 'week'} ${n}, ${days}`
}

// period names a period of an answer: "2024", "March 2024", "Q1 2024", "5 March 2024".
export function period(text: string, language: string): string {
  const year = wholeYear.exec(text)
  if (year && year[1] === year[2]) return yearText(year[1]!, language)
  if (text.includes('/')) {
    const [from, to] = text.split('/') as [string, string]
    return from && to ? `${day(from, language)} – ${day(to, language)}` : text
  }
  if (/^\d{4}$/.test(text)) return yearText(text, language)
  if (/^\d{4}-\d{2}$/.test(text)) return monthText(text, language, 'long')
  const quarter = /^(\d{4})-Q(\d)$/.exec(text)
  if (quarter) return language === 'en' ? `Q${quarter[2]} ${quarter[1]}` : language === 'ru' ? `${quarter[2]} кв. ${quarter[1]}` : `${quarter[1]}-yil ${quarter[2]}-chorak`
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return day(text, language)
  const week = weekOf(text)
  return week ? weekText(text, week, language) : text
}

function yearText(year: string, language: string): string {
  return language === 'uz' ? `${year}-yil` : language === 'ru' ? `${year} год` : year
}

// tick is a period on an axis: as short as it can be read. On a long axis, where
// not every tick has room, each month tells its year.
export function tick(text: string, language: string, long = false): string {
  if (/^\d{4}-\d{2}$/.test(text)) return monthText(text, language, 'short', long || text.endsWith('-01'))
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return text.slice(8) + '.' + text.slice(5, 7)
  const quarter = /^(\d{4})-(Q\d)$/.exec(text)
  if (quarter) return quarter[2] === 'Q1' ? `Q1 ${quarter[1]}` : quarter[2]!
  if (text.includes('/')) return text.split('/')[1]!.slice(0, 7)
  const week = weekOf(text)
  if (week) return dayAndMonth(week, language) + (long || text.endsWith('-W01') ? ` ${week.getUTCFullYear()}` : '')
  return text
}

// cellText is what a cell says in place of a number when it has none.
export function cellText(cell: Cell, unit: string, language: string, labels?: Record<string, string>): string {
  const words = wordsOf(language)
  if ((cell.state === 'value' || cell.state === 'zero') && cell.value !== null) return amount(cell.value, unit, language, labels)
  if (cell.state === 'not_applicable') return cell.reason === 'no_cases' ? words.state.no_cases : words.state.not_applicable
  if (cell.state === 'suppressed') return words.state.suppressed
  return cell.reason === 'not_kept' ? words.state.not_kept : words.state.not_provided
}

// dimensionValue is the value of a dimension in a cell; a dimension named like one
// of the cell's own keys is written "by.<name>".
export function dimensionValue(cell: Cell, name: string): string {
  const loose = cell as unknown as Record<string, unknown>
  const value = loose['by.' + name] ?? loose[name]
  return typeof value === 'string' ? value : ''
}

// short is a text for a heading: what is longer than a name ever is ends with an ellipsis.
export function short(text: string, most = 60): string {
  const letters = [...text]
  return letters.length > most ? letters.slice(0, most - 1).join('') + '…' : text
}
