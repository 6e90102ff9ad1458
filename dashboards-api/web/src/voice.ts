import { createContext, useContext } from 'react'
import type { Labels } from './api/client'
import type { Voice } from './finding'
import { settings } from './settings'
import { languages } from './words'

export const VoiceContext = createContext<Voice>({ language: 'en', zone: 'UTC', labels: {} })
export const useVoice = () => useContext(VoiceContext)

// offered are the languages that both the page and the pack speak; the page's
// English when they share none.
export function offered(pack: string[]): string[] {
  const both = languages.filter((l) => pack.includes(l))
  return both.length ? both : ['en']
}

// chooseLanguage takes the address's language, else the one chosen before, else
// the reader's own, else the pack's first.
export function chooseLanguage(asked: string | undefined, labels: Labels | undefined): string {
  const choice = labels ? offered(labels.languages) : [...languages]
  const wishes = [asked, settings().language, ...navigator.languages.map((l) => l.slice(0, 2)), labels?.languages[0]]
  return wishes.find((w) => w !== undefined && choice.includes(w)) ?? choice[0]!
}

// themeNow is the theme that is drawn: the chosen one, else the system's.
export function themeNow(): 'dark' | 'light' {
  const chosen = document.documentElement.dataset.theme
  if (chosen === 'dark' || chosen === 'light') return chosen
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}
