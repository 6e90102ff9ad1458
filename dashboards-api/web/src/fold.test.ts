import { describe, expect, it } from 'vitest'
import { fold, found, near } from './fold'

describe('names in several spellings', () => {
  it('are one whatever the apostrophe and the alphabet', () => {
    for (const name of ["Farg'ona", 'Fargʻona', 'Farg’ona', 'FARGʼONA', 'Фарғона', 'fargona']) expect(fold(name)).toBe('fargona')
    expect(fold('Тошкент шаҳри')).toBe(fold('Toshkent shahri'))
    expect(fold('Хоразм')).toBe(fold('Xorazm'))
  })
  it('rank the whole name before its beginning, a word and a part', () => {
    const ranks = ['tashkent', 'tash', 'region', 'egio'].map((text) => found(text, text === 'tashkent' ? ['Tashkent'] : ['Tashkent region']))
    expect(ranks).toEqual([3, 2, 1, 0.5])
    expect(found('region tash', ['Tashkent region'])).toBe(0.5)
    expect(found('bukhara', ['Tashkent region'])).toBe(0)
  })
})

it('what is near is spelled alike, by id or by name', () => {
  const all = [{ id: 'requests', names: ['Requests', 'Murojaatlar'] }, { id: 'on_time', names: ['On time'] }]
  expect(near('request', all).map((k) => k.id)).toEqual(['requests'])
  expect(near('requsets', all).map((k) => k.id)).toEqual(['requests'])
  expect(near('муружаатлар', all).map((k) => k.id)).toEqual(['requests'])
  expect(near('on-time', all).map((k) => k.id)).toEqual(['on_time'])
  expect(near('nope', all)).toEqual([])
})
