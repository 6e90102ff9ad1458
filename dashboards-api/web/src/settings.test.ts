import { beforeEach, expect, test } from 'vitest'
import { change, look, lookedBefore } from './settings'

beforeEach(() => change({ looked: undefined }))

test('the look before is of another day, however often one looks today', () => {
  expect(look('2026-11-16')).toBeUndefined()
  expect(look('2026-11-16')).toBeUndefined()
  expect(lookedBefore('2026-11-16')).toBeUndefined()
  expect(look('2026-11-23')).toBe('2026-11-16')
  expect(look('2026-11-23')).toBe('2026-11-16')
  expect(lookedBefore('2026-11-23')).toBe('2026-11-16')
  expect(look('2026-11-30')).toBe('2026-11-23')
})
