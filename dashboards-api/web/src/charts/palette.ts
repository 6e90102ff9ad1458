import { useEffect, useState } from 'react'
import { tones } from './scale'

// The colours of the tokens in styles.css, for drawings that are not styled by it.
export interface Palette {
  ink: string
  muted: string
  line: string
  surface: string
  soft: string
  accent: string
  bar: string
  on: string
  off: string
  tones: string[] // of the sequential scale, the palest first
  onTones: string[] // text upon each of them
}

// palette reads the tokens of the theme that is shown, or of the light one, which is what
// files that are taken along are drawn in.
export function palette(theme?: 'light'): Palette {
  const root = document.documentElement
  const shown = root.dataset.theme
  if (theme) root.dataset.theme = theme // until the end of this function: nothing is painted in between
  const style = getComputedStyle(root)
  const of = (name: string) => style.getPropertyValue(name).trim()
  const all = (prefix: string) => Array.from({ length: tones }, (_, i) => of(`--${prefix}${i}`))
  const found = {
    ink: of('--ink'), muted: of('--muted'), line: of('--line'), surface: of('--surface'), soft: of('--soft'),
    accent: of('--accent'), bar: of('--bar'), on: of('--on'), off: of('--off'), tones: all('t'), onTones: all('on-t'),
  }
  if (theme) {
    if (shown) root.dataset.theme = shown
    else delete root.dataset.theme
  }
  return found
}

// usePalette follows the theme.
export function usePalette(): Palette {
  const [colours, set] = useState(() => palette())
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const again = () => set(palette())
    dark.addEventListener('change', again)
    addEventListener('ombor:theme', again)
    return () => {
      dark.removeEventListener('change', again)
      removeEventListener('ombor:theme', again)
    }
  }, [])
  return colours
}
