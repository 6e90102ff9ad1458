import type { Cell } from '../api/client'
import type { Voice } from '../finding'
import { cellText } from '../format'
import { fill } from '../words'

// wasText says in a text with the place {value} what a corrected figure had been.
export function wasText(cell: Cell, unit: string, voice: Voice, text: string): string {
  const was: Cell = { ...cell, value: cell.was ?? null, state: cell.was_state ?? 'not_provided', open: false }
  return fill(text, { value: cellText(was, unit, voice.language, voice.labels) })
}
