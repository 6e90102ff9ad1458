import { describe, expect, it } from 'vitest'
import { fold } from '../../fold'
import { finder } from './fold'

describe('fold, of names of places', () => {
  it('reads Cyrillic as Latin', () => {
    for (const [a, b] of [['Қорақалпоғистон Республикаси', 'Qoraqalpogʻiston Respublikasi'], ['Ер тузиш', 'Yer tuzish'], ['Хоразм вилояти', 'Xorazm viloyati'], ['маълумотнома', 'maʼlumotnoma'], ['Ўзбекистон', "O'zbekiston"], ['конституция', 'konstitutsiya']] as const) expect(fold(a)).toBe(fold(b))
  })
  it('changes nothing the second time', () => {
    for (const text of ['Ўзбекистон', 'Khorezm', 'Йўл ҳаракати', 'Ёкилғи', 'xkyeh']) expect(fold(fold(text))).toBe(fold(text))
  })
})

describe('finder', () => {
  it('wants every word, in any order and any of the texts', () => {
    const names = ['Mehnat daftarchasidan koʻchirma', 'Выписка из трудовой книжки', '496']
    expect(finder('кўчирма mehnat')(...names)).toBe(true)
    expect(finder("ko'chirma")(...names)).toBe(true)
    expect(finder('трудовой')(...names)).toBe(true)
    expect(finder('496')(...names)).toBe(true)
    expect(finder('koʻchirma pensiya')(...names)).toBe(false)
    expect(finder('')(...names)).toBe(true)
    expect(finder('x')(undefined)).toBe(false)
  })
})
