// Round numbers for axes and classes of colour. Pure.

export interface Axis {
  low: number
  high: number
  step: number
  ticks: number[]
}

// roundStep is the smallest of 1, 2, 5 times a power of ten that is at least size.
function roundStep(size: number): number {
  const power = 10 ** Math.floor(Math.log10(size))
  return [1, 2, 5, 10].map((f) => f * power).find((s) => s >= size * 0.9999)!
}

// roundTo takes away what binary fractions add: 0.30000000000000004.
const roundTo = (v: number, step: number) => Number((Math.round(v / step) * step).toPrecision(12))

// axis spans values by at most so many round steps. With zero it begins there, as an axis
// of bars must; without values it spans 0 to 1.
export function axis(values: number[], most: number, zero: boolean): Axis {
  let low = Math.min(...values, ...(zero || !values.length ? [0] : []))
  let high = Math.max(...values, ...(zero ? [0] : []), ...(values.length ? [] : [1]))
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 10, high + Math.abs(high) / 10]
  if (zero && low === high) high = 1
  let step = roundStep((high - low) / most)
  while (Math.ceil(high / step - 1e-9) - Math.floor(low / step + 1e-9) > most) step = roundStep(step * 1.01)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => roundTo((first + i) * step, step))
  return { low: ticks[0]!, high: ticks.at(-1)!, step, ticks }
}

// tones is how many colours the sequential scale has: --t0, the palest, to --t6.
export const tones = 7

export interface Classes {
  bounds: number[] // one more than classes
  tone: (value: number) => number
}

// classes are at most six equal ranges with round bounds, each with a tone; ends are never
// so near that they could not be told apart. Undefined where no value differs from another.
export function classes(values: number[], most = 6): Classes | undefined {
  if (values.length < 2 || Math.min(...values) === Math.max(...values)) return undefined
  const { ticks } = axis(values, most, false)
  const count = ticks.length - 1
  const toneOf = (i: number) => (count < 2 ? tones - 2 : Math.round((i * (tones - 1)) / (count - 1)))
  return {
    bounds: ticks,
    tone: (value) => {
      const i = ticks.findIndex((bound, at) => at > 0 && value < bound) - 1
      return toneOf(i < 0 ? (value < ticks[0]! ? 0 : count - 1) : i)
    },
  }
}
