// The Cyrillic alphabets of Uzbek, Russian and Karakalpak in Latin letters, as Uzbek writes
// them; letters that only soften are nothing.
const latin: Record<string, string> = {
  а: 'a', б: 'b', в: 'v', г: 'g', д: 'd', е: 'e', ё: 'yo', ж: 'j', з: 'z', и: 'i', й: 'y', к: 'k', л: 'l', м: 'm', н: 'n', о: 'o', п: 'p', р: 'r',
  с: 's', т: 't', у: 'u', ф: 'f', х: 'x', ц: 's', ч: 'ch', ш: 'sh', щ: 'sh', ъ: '', ы: 'i', ь: '', э: 'e', ю: 'yu', я: 'ya', ў: 'o', қ: 'q', ғ: 'g', ҳ: 'h',
  ә: 'a', і: 'i', ң: 'n', ө: 'o', ү: 'u',
}

// fold makes spellings of one name alike: case, accents, the apostrophes of Uzbek in all their
// forms, and its two alphabets, so that "Farg'ona", "Fargʻona" and "Фарғона" are one. What is
// written in two ways has one image: е at the beginning of a word is ye, ц is ts or s, х and ҳ are
// mixed up, and English has kh.
export function fold(text: string): string {
  const plain = text.normalize('NFC').toLowerCase().replace(/[а-яёўқғҳәіңөү]/g, (letter) => latin[letter] ?? letter)
  return plain.normalize('NFD').replace(/[\u0300-\u036f'ʻʼ‘’`´ʹ]/g, '').replace(/ye/g, 'e').replace(/ts/g, 's').replace(/kh|x/g, 'h')
}

// near are those whose names or id are spelled like what was sought, the nearest first: half of
// the pairs of letters are the same.
export function near<T extends { id: string; names: string[] }>(sought: string, all: readonly T[], most = 4): T[] {
  return all
    .map((one) => ({ one, alike: Math.max(...[one.id, ...one.names].map((name) => alike(sought, name))) }))
    .filter((a) => a.alike >= 0.5)
    .sort((a, b) => b.alike - a.alike)
    .slice(0, most)
    .map((a) => a.one)
}

// alike is the share of pairs of neighbouring letters that two texts have in common, 0 to 1.
function alike(a: string, b: string): number {
  const pairs = (text: string) => {
    const plain = fold(text).replace(/[^\p{L}\p{N}]/gu, '')
    return Array.from({ length: Math.max(0, plain.length - 1) }, (_, i) => plain.slice(i, i + 2))
  }
  const [one, other] = [pairs(a), pairs(b)]
  if (one.length + other.length === 0) return 0
  const left = [...other]
  const common = one.filter((pair) => {
    const at = left.indexOf(pair)
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
  return (2 * common.length) / (one.length + other.length)
}

// found ranks what is sought among names: 3 the whole name, 2 its beginning, 1 the beginning
// of a word, 0.5 any part, 0 nothing. Every word that is sought must be found.
export function found(sought: string, names: string[]): number {
  const text = fold(sought).trim()
  if (text === '') return 0.5
  let best = 0
  for (const name of names) {
    const folded = fold(name)
    if (folded === text) return 3
    if (folded.startsWith(text)) best = Math.max(best, 2)
    else if (` ${folded}`.includes(` ${text}`)) best = Math.max(best, 1)
    else if (folded.includes(text)) best = Math.max(best, 0.5)
    else if (text.includes(' ') && text.split(/\s+/).every((word) => folded.includes(word))) best = Math.max(best, 0.5)
  }
  return best
}
