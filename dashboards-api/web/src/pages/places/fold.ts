import { fold } from '../../fold'

// finder answers whether some texts together have every word that is sought, in whatever
// script and spelling.
export function finder(sought: string): (...texts: (string | undefined)[]) => boolean {
  const words = fold(sought).split(/\s+/).filter(Boolean)
  if (words.length === 0) return () => true
  return (...texts) => {
    const folded = texts.map((text) => fold(text ?? '')).join('\n')
    return words.every((word) => folded.includes(word))
  }
}
