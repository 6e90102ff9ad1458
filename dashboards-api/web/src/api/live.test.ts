import { expect, it } from 'vitest'
import { changedBy } from './live'

it('asks again for what news of some KPIs may have changed, and for nothing else', () => {
  for (const key of [['values', 'a', {}], ['why', 'a'], ['scorecard', {}], ['changes', ''], ['status'], ['projects', null], ['services', '']]) expect(changedBy(key, ['a'])).toBe(true)
  for (const key of [['values', 'b', {}], ['gap', 'b'], ['kpi', 'a'], ['labels'], ['me'], ['drawing', 'x']]) expect(changedBy(key, ['a'])).toBe(false)
})

it('leaves the figures alone when the news are of none, and asks for all when it is not known', () => {
  expect(changedBy(['scorecard', {}], [])).toBe(false)
  expect(changedBy(['status'], [])).toBe(true)
  expect(changedBy(['kpi', 'a'], null)).toBe(true)
})
