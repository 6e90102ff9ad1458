import { describe, expect, it } from 'vitest'
import { dayOf, daysBetween, type Detail, dueBy, type Finding, foundText, gravest, median, minor, money, percentOf, type Project, stagesOf, storyOf, columns, isFresh } from './data'
import { words } from './words'

const voice = { language: 'en', zone: 'UTC', labels: {} }
const finding = (rule: string, facts: Record<string, string>): Finding => ({ project: 'P-1', name: 'One', agency: 'a', rule, severity: 3, since: null, words: 'in the server’s words', facts })
const project = (id: string, more: object): Project => ({ id, status: 'active', stage: 'pilot', stage_since: null, registered_on: null, milestones: { next_due: null }, attention: [], ...more }) as unknown as Project

describe('foundText', () => {
  const say = (rule: string, facts: Record<string, string>, language = 'en') => foundText(finding(rule, facts), words[language]!, { ...voice, language }, undefined, (id) => `«${id}»`)
  it('says what was found in three languages', () => {
    expect(say('report-missing', { due: '2024-04-25', last: '2024-03-26' })).toBe('last report on 26 March 2024; the next was due on 25 April 2024')
    expect(say('report-missing', { due: '2024-04-25' })).toBe('never reported; the first report was due on 25 April 2024')
    expect(say('report-missing', { due: '2024-04-25', last: '2024-03-26' }, 'ru')).toContain('26 марта 2024')
    expect(say('milestone-overdue', { milestone: 'M1', name: 'Start', due: '2023-11-22', first_due: '2023-10-01' })).toBe('M1 (Start), due on 22 November 2023, at first on 1 October 2023')
    expect(say('milestone-due', { milestone: 'M1', due: '2023-11-22' })).toBe('M1, due on 22 November 2023')
    expect(say('dependency-cycle', { projects: 'P-1 P-2' })).toBe('waits in a circle: «P-1» → «P-2»')
    expect(say('dependency-late', { project: 'P-6', overdue: '2' })).toContain('«P-6», which has overdue milestones: 2')
    expect(say('overspent', { percent: '105', of: 'budgeted' })).toBe('spent 105\u00a0% of what was set aside')
  })
  it('leaves no place unfilled in any language, for every rule', () => {
    const facts = { due: '2024-01-01', last: '2024-01-01', milestone: 'M', name: 'N', first_due: '2024-01-01', indicator: 'k', said: 'true', met: 'false', percent: '1', of: 'contracted', rating: '2.1', by: 'all', risk: 'R', times: '3', projects: 'A B', project: 'A', ended: '2024-01-01', overdue: '1' }
    for (const language of ['en', 'uz', 'ru']) for (const rule of Object.keys(words.en!.rules)) expect(say(rule, facts, language), `${language} ${rule}`).not.toMatch(/[{}]/)
  })
  it('takes the server’s words for a rule that it does not know', () => expect(say('new-rule', {})).toBe('in the server’s words'))
})

it('dayOf shows a simulation as it ended, and real silence from today', () => {
  const at = (simulated: number, through: string | null) => dayOf({ on: '2026-11-22', data_through: through, figures: { projects: 3, simulated } } as never)
  expect(at(3, '2024-12-31')).toBe('2024-12-31')
  expect(at(2, '2024-12-31')).toBe('2026-11-22')
  expect(at(3, null)).toBe('2026-11-22')
})

it('stagesOf counts days in the stage, in the order of the pack', () => {
  const projects = [project('a', { stage: 'pilot', stage_since: '2024-01-01' }), project('b', { stage: 'idea', stage_since: '2024-01-21' }), project('c', { stage: 'pilot', stage_since: '2024-01-11' }), project('d', { status: 'ended', stage_since: '2020-01-01' }), project('e', { stage: '', registered_on: '2024-01-30' })]
  expect(stagesOf(projects, '2024-01-31', ['idea', 'pilot']).map((s) => [s.stage, s.projects.map((p) => [p.project.id, p.days]), s.median])).toEqual([['idea', [['b', 10]], 10], ['pilot', [['a', 30], ['c', 20]], 25], ['', [['e', 1]], 1]])
})

it('columns count every project once, by days and by how grave', () => {
  const rules = [{ rule: 'x', severity: 3, about: '' }]
  const of = [{ project: project('a', { attention: ['x'] }), days: 0 }, { project: project('b', { attention: [] }), days: 4 }, { project: project('c', { attention: [] }), days: 9 }]
  expect(columns(of, 9, 2, rules)).toEqual([[1, 0, 0, 1], [1, 0, 0, 0]])
})

it('isFresh is what began within seven days', () => {
  expect(['2024-12-31', '2024-12-25', '2024-12-24', '2025-01-01', undefined].map((since) => isFresh({ since } as never, '2024-12-31'))).toEqual([true, true, false, false, false])
})

it('dueBy fills months between, and marks those that have passed', () => {
  const due = (id: string, day: string | null) => project(id, { milestones: { next_due: day } })
  const found = dueBy([due('a', '2023-12-05'), due('b', '2024-02-10'), due('c', '2024-02-20'), due('d', null)], '2024-02-15')
  expect(found.map((m) => [m.month, m.projects.length, m.overdue])).toEqual([['2023-12', 1, true], ['2024-01', 0, true], ['2024-02', 2, true]])
  expect(dueBy([due('a', '2022-12-05'), due('b', '2023-02-10'), due('c', '2023-07-31'), due('d', '2023-08-01')], '2024-02-15').map((m) => [m.month, m.before, m.projects.length])).toEqual([['2023-08', true, 3], ['2023-08', undefined, 1]])
  expect(dueBy([], '2024-02-15')).toEqual([])
})

it('money is told in the currency, not in its coins', () => {
  expect(minor('UZS')).toBe(100)
  expect(minor('JPY')).toBe(1)
  expect(minor('')).toBe(1)
  expect(money(218_760_000_000, 'UZS', { language: 'en', labels: {} })).toBe('2.2\u00a0billion\u00a0UZS')
  expect(money(218_760_000_000, 'UZS', { language: 'uz', labels: { 'unit.UZS': 'soʻm' } })).toBe('2,2\u00a0mlrd\u00a0soʻm')
  expect(money(null, 'UZS', { language: 'en', labels: {} })).toBe('')
})

it('small sums', () => {
  expect(percentOf(50, 200)).toBe(25)
  expect(percentOf(50, null)).toBeNull()
  expect(percentOf(50, 0)).toBeNull()
  expect(median([1, 2, 10])).toBe(2)
  expect(median([1, 2, 10, 20])).toBe(6)
  expect(daysBetween('2024-02-28', '2024-03-01')).toBe(2)
  expect(gravest(project('a', { attention: ['x', 'y'] }), [{ rule: 'x', severity: 1, about: '' }, { rule: 'y', severity: 3, about: '' }])).toBe(3)
  expect(gravest(project('a', {}), [])).toBe(0)
})

it('storyOf puts everything dated in its order, the newest first', () => {
  const detail = {
    recommended_on: '2023-01-01', accepted_on: null, ended_on: '2024-05-01', project: { registered_on: '2023-02-01' }, stages: [{ stage: 'pilot', on: '2023-06-01' }],
    replans: [{ milestone: 'M1', on: '2023-07-01', old_due: '2023-06-01', new_due: '2023-09-01', reason: 'floods', explanation: '' }], milestones: [{ milestone: 'M1', name: '', reached_on: '2023-09-10' }],
    reports: [{ on: '2023-05-01', percent: null, evidence: '' }], risks: [], promises: [{ indicator: 'k', measured_on: null, value: null }],
  } as unknown as Detail
  expect(storyOf(detail).map((h) => `${h.on} ${h.kind}${h.facts.reason ? ` (${h.facts.reason})` : ''}`)).toEqual(['2024-05-01 ended', '2023-09-10 reached', '2023-07-01 replanned (floods)', '2023-06-01 stage', '2023-05-01 report', '2023-02-01 registered', '2023-01-01 recommended'])
})
