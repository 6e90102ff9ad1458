import type { Kpi, Values } from '../../api/client'
import { coverageText, type Voice } from '../../finding'
import { dayOfMoment } from '../../format'
import { type Search, writeSearch } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, wordsOf } from '../../words'

// captionOf is what stands under every chart and picture: the system whose records these are (what
// the definition rests on where the pack names none), data through, coverage, still arriving,
// simulated.
export function captionOf(kpi: Kpi, values: Values, voice: Voice): string {
  const words = wordsOf(voice.language)
  const source = voice.labels[`group.${kpi.group}`] ?? nameIn(values.definition.source_names, voice.language)
  return [
    source && `${words.source}: ${source}`,
    values.data_through ? fill(words.through, { day: dayOfMoment(values.data_through, voice.zone, voice.language) }) : words.noData,
    values.basis === 'stock' ? '' : coverageText(values.coverage, voice), // of a stock it speaks of rows, not of senders
    values.cells.some((c) => c.open) && words.openLong.replace(/\.$/, ''),
    values.simulated && words.simulatedShort,
  ].filter(Boolean).join(' · ')
}

export const Caption = ({ kpi, values }: { kpi: Kpi; values: Values }) => <p className="caption">{captionOf(kpi, values, useVoice())}</p>

// sourceOf is the same for a file, which says also what stands beside the figure, and at which
// address the same picture opens.
export function sourceOf(kpi: Kpi, values: Values, voice: Voice, search: Search, beside: string[] = []): string {
  const { lang: _, unread: __, ...kept } = search
  const days = { from: search.from ?? values.from ?? undefined, to: search.to ?? values.to ?? undefined }
  return [...beside.map((text) => text.replace(/\.$/, '')), captionOf(kpi, values, voice), location.host + location.pathname + writeSearch({ ...days, ...kept })].join(' · ')
}
