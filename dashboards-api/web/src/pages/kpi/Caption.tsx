import type { Values } from '../../api/client'
import { coverageText, type Voice } from '../../finding'
import { dayOfMoment } from '../../format'
import { useVoice } from '../../voice'
import { fill, wordsOf } from '../../words'

// captionOf is what stands under every chart and picture: source, data through, coverage,
// still arriving, simulated.
export function captionOf(values: Values, voice: Voice): string {
  const words = wordsOf(voice.language)
  return [
    values.definition.source && `${words.source}: ${values.definition.source}`,
    values.data_through ? fill(words.through, { day: dayOfMoment(values.data_through, voice.zone, voice.language) }) : words.noData,
    values.basis === 'stock' ? '' : coverageText(values.coverage, voice), // of a stock it speaks of rows, not of senders
    values.cells.some((c) => c.open) && words.openLong.replace(/\.$/, ''),
    values.simulated && words.simulatedShort,
  ].filter(Boolean).join(' · ')
}

export const Caption = ({ values }: { values: Values }) => <p className="caption">{captionOf(values, useVoice())}</p>

// sourceOf is the same for a file, which says also where it comes from.
export const sourceOf = (values: Values, voice: Voice) => `${captionOf(values, voice)} · ${location.host}${location.pathname}`
