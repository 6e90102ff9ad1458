import { createContext, useContext } from 'react'
import { en, type Shape, type Words } from './en'
import { ru } from './ru'
import { uz } from './uz'

export type { Words }

// The languages that the page itself speaks. A pack may name things in others.
export const dictionaries: Record<string, Words> = { uz, ru, en }
export const languages = ['uz', 'ru', 'en'] as const
export const shortNames: Record<string, string> = { uz: 'Oʻz', ru: 'Рус', en: 'Eng' }

export const wordsOf = (language: string): Words => dictionaries[language] ?? en

// fill puts values in the places of a text. A place without a value stays visible,
// so that a mistake is seen and not read as a sentence. {n|day|days} is the first word when n
// is 1 and the second otherwise.
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (place, name: string, one?: string, many?: string) => (!(name in values) ? place : one === undefined ? String(values[name]) : String(values[name]) === '1' ? one : many!))
}

export const LanguageContext = createContext('en')
export const useLanguage = () => useContext(LanguageContext)
export const useWords = () => wordsOf(useContext(LanguageContext))

type InAll<T> = { en: T; uz: Shape<NoInfer<T>>; ru: Shape<NoInfer<T>> }

// inLanguages holds the words of one page; a word that a language lacks does not compile.
export const inLanguages = <const T extends object>(words: InAll<T>): Record<string, Shape<T>> => words as unknown as Record<string, Shape<T>>

// useWordsOf are a page's own words in the reader's language.
export function useWordsOf<T>(words: Record<string, T>): T {
  return words[useLanguage()] ?? words.en!
}

// nameIn is a pack's text in a language, or in English, or in any.
export function nameIn(names: Record<string, string> | undefined, language: string, otherwise = ''): string {
  if (!names) return otherwise
  return names[language] || names.en || Object.values(names).find(Boolean) || otherwise
}

// personName is how somebody is called. Who signs in on the server's own machine has no name but a
// word of the server's, and so has who only looks.
export function personName(name: string, words: Words): string {
  const known: Record<string, string> = { 'operator of the machine': words.machineOperator, operator: words.roles.operator, public: words.roles.public }
  return known[name] ?? name
}
