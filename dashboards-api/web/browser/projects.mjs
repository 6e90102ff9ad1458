// The portfolio, one project, and views that a reader keeps.
import { accessible, must, settled, sizes } from './kit.mjs'

export default async function ({ api, languages, test, visit, everywhere, tabs }) {
  const today = await api('/v1/projects?limit=10000')
  must(today.total > 0, 'the server has no projects')
  const on = today.figures.simulated === today.figures.projects && today.data_through < today.on ? today.data_through : today.on
  const list = await api(`/v1/projects?limit=10000&on=${on}`)
  const attention = await api(`/v1/portfolio/attention?on=${on}`)
  const finding = attention.findings[0]
  must(finding, 'no project needs attention')
  const promising = list.projects.find((p) => p.serves.length && p.milestones.planned) ?? list.projects[0]

  await everywhere('projects', '/projects')
  await everywhere('project', `/projects/${encodeURIComponent(promising.id)}`)
  await tabs('projects', '/projects', ['table', 'stages', 'agencies', 'targets', 'duplicates'], 'ru')

  await test('on a phone no mark of a project is cut, in any language', async () => {
    for (const lang of languages) {
      await visit(`/projects?tab=table&lang=${lang}`, { width: sizes.phone[0], height: sizes.phone[1] }, async (page) => {
        await page.locator('.stacked .mark-line').first().waitFor()
        const cut = await page.evaluate(() => [...document.querySelectorAll('.stacked tbody :is(th, td, .mark-line)')].filter((e) => e.clientWidth > 0 && (e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > e.closest('.scroll').getBoundingClientRect().right + 1)).map((e) => e.textContent.trim()))
        must(cut.length === 0, `cut: ${cut.slice(0, 3).join(' | ')}`)
      })
    }
  })

  await test('no figure is shown before it is known of which day', () =>
    visit('/settings?lang=en', {}, async (page) => {
      await page.evaluate(() => {
        globalThis.seen = new Set()
        new MutationObserver(() => globalThis.seen.add(document.querySelector('h1')?.textContent)).observe(document.body, { childList: true, subtree: true, characterData: true })
      })
      await page.locator('header a[href^="/projects"]').first().click()
      await page.waitForSelector('.rules section')
      await settled(page)
      const finding = await page.locator('h1').innerText()
      const others = (await page.evaluate(() => [...globalThis.seen])).filter((h) => h !== finding && /\d/.test(h ?? ''))
      must(others.length === 0, `before “${finding}” stood “${others.join('”, “')}”`)
    }))

  await test('the portfolio tells the figures of the API, of the day that it names', () =>
    visit('/projects?lang=en', {}, async (page) => {
      const title = await page.locator('h1').innerText()
      const said = (n) => title.includes(n.toLocaleString('en-GB'))
      must(said(list.figures.needing_attention) && said(list.figures.active), `${title}, API ${list.figures.needing_attention} of ${list.figures.active}`)
      must((await page.locator('.page-head input[type=date]').inputValue()) === on, 'the day is another')
      const shown = await page.locator('.rules section').count()
      const rules = Object.values(attention.counts).filter((n) => n > 0).length
      must(shown === rules, `${shown} rules are drawn, the API has ${rules}`)
    }))

  await test('who has not reported: a ready view, narrowed by the server', async () => {
    const silent = await api(`/v1/projects?limit=10000&on=${on}&rule=report-missing`)
    await visit('/projects?lang=en', {}, async (page) => {
      await page.locator('.page-head button', { hasText: 'Views' }).click()
      await accessible(page)
      await page.locator('.view-list a', { hasText: 'Have not reported' }).click()
      await page.waitForFunction(() => location.search.includes('rule=report-missing'))
      await settled(page)
      await page.locator('[role=tab]', { hasText: 'All projects' }).click()
      await page.waitForFunction((n) => document.querySelectorAll('table.data tbody tr').length === n, Math.min(60, silent.total))
    })
  })

  await test('a view is kept under a name, opened and removed', () =>
    visit('/projects?lang=en&tab=stages&status=active', {}, async (page) => {
      const title = `View ${Math.random().toString(36).slice(2)}`
      await page.locator('.page-head button', { hasText: 'Views' }).click()
      await page.locator('.view-form input').fill(title)
      await page.keyboard.press('Enter')
      const kept = page.locator('.view-list a', { hasText: title })
      await kept.waitFor()
      await page.goto(new URL('/projects?lang=en', page.url()).href)
      await settled(page)
      await page.locator('.page-head button', { hasText: 'Views' }).click()
      await kept.click()
      await page.waitForFunction(() => location.search.includes('tab=stages') && location.search.includes('lang=en'))
      if (!(await kept.count())) await page.locator('.page-head button', { hasText: 'Views' }).click()
      await page.locator('.view-list li', { hasText: title }).locator('button').click()
      await kept.waitFor({ state: 'detached' })
    }))

  await test('by keyboard alone: a finding, its project, and back', () =>
    visit('/projects?lang=en', {}, async (page) => {
      const link = page.locator('.findings a.name').first()
      await link.focus()
      const name = await link.innerText()
      await page.keyboard.press('Enter')
      await page.waitForURL('**/projects/*')
      await settled(page)
      must((await page.locator('h1').innerText()) === name, 'another project opened')
      must((await page.locator('#needs').count()) === 1, 'the project does not say why it needs attention')
      await page.goBack()
      await page.waitForFunction(() => location.pathname === '/projects')
    }))

  await test('a project that is not there says so', () => visit('/projects/no-such-project?lang=en', { quiet: false }, async (page) => {
    await page.locator('.empty a[href^="/projects"]').waitFor()
    await accessible(page)
  }))
}
