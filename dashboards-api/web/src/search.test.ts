import { describe, expect, it } from 'vitest'
import { readSearch, withoutFilter, writeSearch } from './search'

describe('the address', () => {
  it('comes back as it was', () => {
    const text = '?lang=ru&from=2024-01-01&by=region&where=a%3Db%26c&where=d%3De'
    expect(writeSearch(readSearch(text))).toBe(text)
  })
  it('takes one filter away', () => {
    expect(withoutFilter({ where: ['a=b', 'c=d'] }, 'a=b')).toEqual(['c=d'])
    expect(withoutFilter({ where: ['a=b'] }, 'a=b')).toBeUndefined()
  })
  it('keeps apart what it cannot read, and writes it again', () => {
    for (const part of ['from=2025-13-45', 'to=2025-02-30', 'on=today', 'known_on=x', 'since=1', 'lang=de', 'show=chart', 'where=region', 'colour=red']) {
      expect(readSearch('?' + part)).toEqual({ unread: [part] })
      expect(decodeURIComponent(writeSearch({ unread: [part] }))).toBe('?' + part)
    }
  })
  it('leaves out what it could not read once it is said better', () => {
    expect(writeSearch({ from: '2025-01-01', unread: ['from=2025-13-45'] })).toBe('?from=2025-01-01')
  })
})
