import { describe, expect, it } from 'vitest'
import { finder, foldScripts } from './fold'

describe('foldScripts', () => {
  it('takes five apostrophes and none for one', () => {
    for (const name of ["Farg'ona", 'Fargʻona', 'Fargʼona', 'Farg‘ona', 'Farg’ona', 'FARGONA', 'Фарғона']) expect(foldScripts(name)).toBe('fargona')
  })
  it('reads Cyrillic as Latin', () => {
    expect(foldScripts('Қорақалпоғистон Республикаси')).toBe(foldScripts('Qoraqalpogʻiston Respublikasi'))
    expect(foldScripts('Ер тузиш')).toBe(foldScripts('Yer tuzish'))
    expect(foldScripts('Хоразм вилояти')).toBe(foldScripts('Xorazm viloyati'))
    expect(foldScripts('маълумотнома')).toBe(foldScripts('maʼlumotnoma'))
    expect(foldScripts('Ўзбекистон')).toBe(foldScripts("O'zbekiston"))
  })
  it('changes nothing the second time', () => {
    for (const text of ['Ўзбекистон', 'Khorezm', 'Йўл ҳаракати', '  two   words ', 'Ёкилғи', 'xkyeh']) expect(foldScripts(foldScripts(text))).toBe(foldScripts(text))
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
