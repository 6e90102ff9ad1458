import { expect, it } from 'vitest'
import { fill } from '.'

it('fill puts values in their places, and leaves a place without one to be seen', () => {
  expect(fill('{n} of {all}, {x}', { n: 1, all: '2' })).toBe('1 of 2, {x}')
})

it('fill chooses between one and many', () => {
  expect([1, 2, 0].map((n) => fill('{n} {n|day|days} late', { n }))).toEqual(['1 day late', '2 days late', '0 days late'])
})
