// Own settings, what is absent for who may not see it, and the operator's page.
import { accessible, must, settled } from './kit.mjs'

export default async function ({ url, test, visit, everywhere }) {
  await everywhere('settings', '/settings')
  await everywhere('operate', '/operate')

  await test('the audit log is shown, filtered and exported', () =>
    visit('/operate?lang=en&tab=audit', {}, async (page) => {
      await page.waitForSelector('table.data tbody tr')
      await accessible(page)
      await page.locator('input[name=denied]').check()
      await page.locator('form button[type=submit]').click()
      await settled(page)
      const allowed = await page.locator('table.data tbody td:last-child').allInnerTexts()
      must(allowed.every((text) => text.includes('denied')), 'a request that was let in stands among the denials')
      const [file] = await Promise.all([page.waitForEvent('download'), page.locator('a', { hasText: 'CSV' }).click()])
      must(file.suggestedFilename().endsWith('.csv'), file.suggestedFilename())
    }))

  await test('a key is made, shown once, opens what its role may see and nothing else, and ends', () =>
    visit('/operate?lang=en', {}, async (page) => {
      const name = `browser test ${Date.now()}`
      await page.locator('button', { hasText: 'Make a key' }).first().click()
      await page.locator('dialog[open] input[name=name]').fill(name)
      await page.locator('dialog[open] label', { hasText: 'leadership' }).locator('input').check()
      await accessible(page)
      await page.locator('dialog[open] button[type=submit]').click()
      const key = await page.locator('dialog[open] code').innerText()
      await page.locator('dialog[open] button', { hasText: 'Done' }).click()
      await visit('/?lang=en', { as: { Authorization: `Bearer ${key}` } }, async (leader) => {
        const sections = await leader.locator('.masthead nav a').allInnerTexts()
        must(sections.includes('Scorecard') && sections.includes('Projects'), `a leader sees ${sections.join(', ')}`)
        must(!sections.includes('Workbench'), 'a leader sees the workbench')
        await leader.locator('.masthead .icon').last().click()
        await leader.waitForSelector('.account')
        must((await leader.locator('.account', { hasText: 'audit' }).count()) === 0, 'a leader sees the keys and the audit log')
        await accessible(leader)
      })
      await page.locator('tr', { hasText: name }).locator('button').click()
      await page.locator('dialog[open] button.main').click()
      await page.waitForFunction((n) => [...document.querySelectorAll('tr')].some((row) => row.textContent.includes(n) && row.textContent.includes('ended')), name)
    }))

  await test('who is not known is shown the way in, and no figure', () =>
    visit('/?lang=en', { as: null, quiet: false }, async (page) => {
      await page.waitForSelector('.sign-in')
      must((await page.locator('.masthead nav').count()) === 0, 'the navigation stands there')
      await accessible(page)
    }))

  await test('theme and start page are kept', () =>
    visit('/settings?lang=en', {}, async (page) => {
      await page.locator('label', { hasText: 'Dark' }).locator('input').check()
      must((await page.evaluate(() => document.documentElement.dataset.theme)) === 'dark', 'it is not dark')
      await accessible(page)
      await page.locator('label', { hasText: 'Promises' }).locator('input').check()
      await page.goto('about:blank')
      await page.goto(url + '/')
      await page.waitForFunction(() => location.pathname === '/promises')
      await page.goto(url + '/settings?lang=en')
      await settled(page)
      must(await page.locator('label', { hasText: 'Dark' }).locator('input').isChecked(), 'the theme was forgotten')
      const kept = page.waitForResponse((r) => r.url().endsWith('/v1/me/settings') && r.request().method() === 'PUT')
      await page.locator('label', { hasText: 'As the machine' }).locator('input').check()
      await page.locator('label', { hasText: 'Scorecard' }).locator('input').check()
      await kept
    }))
}
