import { useSyncExternalStore } from 'react'

// What a reader has chosen, kept in the browser. Where storage is off a choice holds until
// the page is left.
export interface Settings {
  language?: string | undefined
  theme?: 'dark' | 'light' | undefined // absent: as the system is
  start?: '/monday' | '/promises' | '/projects' | undefined // absent: the scorecard
  looked?: string[] | undefined // the last two days on which the figures were looked at, YYYY-MM-DD, the newest first
}

const key = (name: keyof Settings) => `ombor.${name}`
const listeners = new Set<() => void>()
let now: Settings | undefined

export function settings(): Settings {
  return (now ??= {
    language: read('language'),
    theme: oneOf(read('theme'), ['dark', 'light']),
    start: oneOf(read('start'), ['/monday', '/promises', '/projects']),
    looked: read('looked')?.split(' ').filter((d) => /^\d{4}-\d{2}-\d{2}$/.test(d)),
  })
}

const oneOf = <T extends string>(text: string | undefined, allowed: T[]) => allowed.find((a) => a === text)

function read(name: keyof Settings): string | undefined {
  try {
    return localStorage.getItem(key(name)) ?? undefined
  } catch {
    return undefined
  }
}

// change sets what it names; undefined takes a choice back.
export function change(part: Settings): void {
  const before = settings()
  if (Object.entries(part).every(([name, value]) => String(before[name as keyof Settings]) === String(value))) return
  now = { ...before, ...part }
  for (const [name, value] of Object.entries(part)) {
    try {
      if (value === undefined) localStorage.removeItem(key(name as keyof Settings))
      else localStorage.setItem(key(name as keyof Settings), Array.isArray(value) ? value.join(' ') : value)
    } catch {
      // Storage is off.
    }
  }
  if ('theme' in part) drawTheme(part.theme)
  for (const tell of listeners) tell()
}

// onChange calls tell after every change, until what it returns is called.
export function onChange(tell: () => void): () => void {
  listeners.add(tell)
  return () => listeners.delete(tell)
}

export const useSettings = () => useSyncExternalStore(onChange, settings)

function drawTheme(theme: Settings['theme']) {
  if (theme) document.documentElement.dataset.theme = theme
  else delete document.documentElement.dataset.theme
  dispatchEvent(new Event('ombor:theme'))
}

// lookedBefore is the last day before today on which the figures were looked at: undefined when
// there was none.
export const lookedBefore = (today: string): string | undefined => settings().looked?.find((day) => day < today)

// look notes that the figures were looked at today, and returns lookedBefore.
export function look(today: string): string | undefined {
  const before = lookedBefore(today)
  change({ looked: before ? [today, before] : [today] })
  return before
}
