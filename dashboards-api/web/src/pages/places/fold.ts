// Search that takes a name in whatever way it is written: case, accents, the apostrophes of
// Uzbek, and Cyrillic for Latin. Both the name and what is sought are folded the same way, so
// a letter needs one image, not the right one.

// The Uzbek alphabet of 1995 without its apostrophes; Russian and Karakalpak letters by sound.
const letters: Record<string, string> = {
  а: 'a', ә: 'a', б: 'b', в: 'v', г: 'g', ғ: 'g', д: 'd', е: 'e', ё: 'yo', ж: 'j', з: 'z', и: 'i', і: 'i', й: 'y', к: 'k', қ: 'q', л: 'l', м: 'm', н: 'n', ң: 'n',
  о: 'o', ө: 'o', ў: 'o', п: 'p', р: 'r', с: 's', т: 't', у: 'u', ү: 'u', ф: 'f', х: 'x', ҳ: 'h', ц: 'ts', ч: 'ch', ш: 'sh', щ: 'sh', ъ: '', ы: 'i', ь: '', э: 'e', ю: 'yu', я: 'ya',
}

// foldScripts is the form in which names are compared. Applied twice it changes nothing more.
export function foldScripts(text: string): string {
  return [...text.normalize('NFC').toLowerCase()]
    .map((letter) => letters[letter] ?? letter)
    .join('')
    .normalize('NFD')
    .replace(/[\u0300-\u036f'ʻʼ‘’`]/g, '')
    .replace(/ye/g, 'e') // е begins a word as ye
    .replace(/kh/g, 'h')
    .replace(/x/g, 'h') // х and ҳ are mixed up by most who type them
    .replace(/\s+/g, ' ')
    .trim()
}

// finder answers whether one of some texts has every word that is sought.
export function finder(sought: string): (...texts: (string | undefined)[]) => boolean {
  const words = foldScripts(sought).split(' ').filter(Boolean)
  if (words.length === 0) return () => true
  return (...texts) => {
    const folded = texts.map((text) => foldScripts(text ?? '')).join('\n')
    return words.every((word) => folded.includes(word))
  }
}
