import type { Cell, HeldTarget, Kpi, Target, Values } from './api/client'
import { amount, bound, cellText, dayOfMoment, difference, dimensionValue, number, period } from './format'
import { fill, nameIn, wordsOf } from './words'

// What a figure says in words: the title of its page and the sentence that people
// copy. Pure, so that the three languages can be tested.

export interface Voice {
  language: string
  zone: string
  labels: Record<string, string>
}

// scopedTitle is the KPI's name with the filters that hold: a part is never taken
// for the whole.
export function scopedTitle(values: Values, voice: Voice): string {
  const title = nameIn(values.title, voice.language, values.kpi)
  const scope = Object.entries(values.where ?? {}).map(([by, codes]) => [...new Set(codes.map((code) => partName(values, by, code, voice)))].join(', ')) // a system and its simulation have one name
  return scope.length ? `${title} (${scope.join('; ')})` : title
}

const measured = (cell: Cell) => (cell.state === 'value' || cell.state === 'zero') && cell.value !== null

// finding is a title that says what was found: in how many parts the figure rose,
// else how far apart the parts are, else the figure itself.
export function finding(whole: Values, parts: Values | undefined, by: string, voice: Voice): string {
  const words = wordsOf(voice.language)
  const title = scopedTitle(parts ?? whole, voice)
  const cell = whole.cells[0]
  if (!cell) return title
  const value = told(cell, whole.unit, voice)
  const cells = (parts?.cells ?? []).filter((c) => measured(c) && dimensionValue(c, by) !== '')
  const compared = cells.filter((c) => c.comparison && c.comparison.difference !== null)
  if (compared.length >= 2) {
    const rose = compared.filter((c) => c.comparison!.difference! > 0).length
    const fell = compared.filter((c) => c.comparison!.difference! < 0).length
    return fill(rose >= fell ? words.findingRose : words.findingFell, { title, n: Math.max(rose, fell), all: compared.length })
  }
  // Parts of a count add up to it: that they differ is no finding. Among many small
  // parts some are always at the ends, and a part of less than a hundredth of the cases is
  // none to name: that is no finding either.
  const sizeable = cells.filter((c) => (c.denominator ?? 0) >= (cell.denominator ?? 0) / 100)
  if (sizeable.length >= 3 && cells.length <= 20 && whole.unit === 'percent' && measured(cell)) {
    const sorted = [...sizeable].sort((a, b) => a.value! - b.value!)
    const low = sorted[0]!
    const high = sorted[sorted.length - 1]!
    const name = (c: Cell) => partName(parts!, by, dimensionValue(c, by), voice)
    return fill(words.findingSpread, {
      title, value, low: amount(low.value!, whole.unit, voice.language), high: amount(high.value!, whole.unit, voice.language), lowName: name(low), highName: name(high),
    })
  }
  return fill(words.findingPlain, { title, value })
}

// dimensionName is what a dimension is called: by its contract, by a word of the
// pack ("dimension.region"), or as it stands.
export function dimensionName(kpi: Pick<Kpi, 'dimensions'>, by: string, voice: Voice): string {
  return nameIn(kpi.dimensions.find((d) => d.name === by)?.title, voice.language, voice.labels[`dimension.${by}`] ?? by)
}

// partName is what a value of a dimension is called: by its reference table, by a
// word of the pack ("value.processing.automatic"), or as it stands.
export function partName(values: Values, by: string, code: string, voice: Voice): string {
  if (code === '') return wordsOf(voice.language).notTold
  const known = values.names?.[by]?.[code]
  if (known) return nameIn(known, voice.language, code)
  return voice.labels[`value.${by}.${code}`] ?? code
}

export function changeText(cell: Cell, unit: string, voice: Voice): string {
  const words = wordsOf(voice.language)
  const c = cell.comparison
  if (!c || c.difference === null) return ''
  const before = fill(/^\d{4}-\d{2}-\d{2}$/.test(c.period) ? words.onDay : words.inPeriod, { period: period(c.period, voice.language) })
  if (c.difference === 0) return fill(words.same, { period: before })
  const value = difference(c.difference, unit, voice.language, voice.labels)
  return fill(c.difference > 0 ? words.more : words.less, { value, period: before })
}

// told is the value of a cell; of a quantile with which of them it is.
export function told(cell: Cell, unit: string, voice: Voice): string {
  const words = wordsOf(voice.language)
  const text = cellText(cell, unit, voice.language, voice.labels)
  const which = measured(cell) ? cell.quantiles?.find((q) => q.value === cell.value) : undefined
  if (!which) return text
  return `${text} (${which.q === 0.5 ? words.median : fill(words.quantile, { n: number(which.q * 100, voice.language) })})`
}

// stopped is a sentence with one full stop, also after an abbreviation.
const stopped = (text: string): string => text.replace(/\.*$/, '.')

export function boundText(target: Pick<HeldTarget | Target, 'comparator' | 'value'>, unit: string, voice: Voice): string {
  const words = wordsOf(voice.language)
  if (target.value === null) return words.yesOrNo
  const texts: Record<string, string> = { at_least: words.atLeast, at_most: words.atMost, about: words.about, up_to: words.upTo }
  return fill(texts[target.comparator] ?? '{value}', { value: bound(target.value, unit, voice.language, voice.labels) })
}

export function coverageText(coverage: Values['coverage'], voice: Voice): string {
  if (!coverage || coverage.expected < 2) return '' // of one source there is no part
  const text = fill(wordsOf(voice.language).coverageOf, { n: number(coverage.covered, voice.language), all: number(coverage.expected, voice.language) })
  return coverage.missing?.length ? `${text}, ${fill(wordsOf(voice.language).without, { names: coverage.missing.map((name) => (coverage.weights?.[name] ? `${name} (${number(coverage.weights[name], voice.language, 0)}\u00a0%)` : name)).join(', ') })}` : text
}

// sentence tells a figure so that it can be read aloud: value, period, parts,
// change, what else stands beside the figure, target, data through, coverage, and that it is
// simulated when it is.
export function sentence(whole: Values, targets: Target[], voice: Voice, beside: string[] = []): string {
  const words = wordsOf(voice.language)
  const cell = whole.cells[0]
  const title = scopedTitle(whole, voice)
  if (!cell) return title
  let first = fill(words.sentence, { title, period: period(cell.period, voice.language), value: told(cell, whole.unit, voice) })
  if (whole.unit === 'percent' && measured(cell) && cell.numerator !== null && cell.denominator !== null) {
    first += ` (${fill(words.sentenceOf, { numerator: number(cell.numerator, voice.language), denominator: number(cell.denominator, voice.language) })})`
  }
  const change = changeText(cell, whole.unit, voice)
  if (change) first += ', ' + change
  const asked = targets.find((t) => t.kind === 'target' && Object.keys(t.where).length === 0)
  const out = [stopped(first), ...beside.map(stopped), asked ? fill(words.sentenceTarget, { target: boundText(asked, whole.unit, voice), act: nameIn(asked.act_names, voice.language, asked.act) }) : words.noTarget]
  if (whole.data_through) {
    // The coverage of a stock speaks of its rows, not of who reported.
    const coverage = whole.basis === 'stock' ? '' : coverageText(cell.coverage ?? whole.coverage, voice)
    out.push(fill(words.through, { day: dayOfMoment(whole.data_through, voice.zone, voice.language) }) + (coverage ? `; ${coverage}` : '') + '.')
  }
  if (cell.open) out.push(words.openLong)
  if (whole.simulated) out.push(words.simulated)
  return out.join(' ')
}
