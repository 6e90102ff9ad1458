// A leader's day: where do we stand, why, take it along, what has changed, what was promised.
// By keyboard alone on a laptop, by thumb on a phone, in each language.
import { accessible, must, settled, sizes, tabTo } from './kit.mjs'

export default async function ({ api, languages, test, visit }) {
  const card = await api('/v1/scorecard')
  const rows = card.rows.filter((r) => r.cell?.state === 'value' && r.basis === 'events')
  const row = rows.find((r) => r.unit === 'percent') ?? rows[0]
  must(row, 'the server has no figure to look at: load data first')

  for (const language of languages) {
    const [width, height] = sizes.laptop
    await test(`a leader's day by keyboard alone, ${language}`, () =>
      visit(`/?lang=${language}`, { width, height, screen: `leader-${language}` }, async (page) => {
        // Where do we stand? Every target has its state in a word, not only in a colour.
        const states = await page.locator('#targets + ul .status').allInnerTexts()
        must(states.every((s) => s.trim().length > 2), `a target without a word: ${states}`)
        // A figure by its name, and why it is as it is.
        await page.keyboard.press('/')
        await page.locator('.finder input:focus').waitFor()
        await page.keyboard.type(row.title[language] ?? row.kpi)
        await page.waitForSelector('[role=option]')
        await page.keyboard.press('Enter')
        await page.waitForURL(`**/kpis/${row.kpi}*`)
        await settled(page)
        must(new URL(page.url()).searchParams.get('lang') === language, 'the language was lost on the way')
        await page.waitForSelector('section[aria-labelledby=why] svg, section[aria-labelledby=why] p')
        // Take it along.
        const take = page.locator('button.take').first()
        await tabTo(page, take)
        await page.keyboard.press('Enter')
        const csv = page.locator('.popover a[href*="format=csv"]')
        await csv.waitFor()
        await tabTo(page, csv)
        const [file] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
        must(file.suggestedFilename().endsWith('.csv'), file.suggestedFilename())
        await page.keyboard.press('Escape')
        await csv.waitFor({ state: 'detached' })
        must(await take.evaluate((b) => b === document.activeElement), 'focus was lost when the panel closed')
        // What has changed?
        await page.keyboard.press('g')
        await page.keyboard.press('s')
        await page.waitForFunction(() => location.pathname === '/')
        await settled(page)
        await tabTo(page, page.locator('main a[href^="/monday"]'))
        await page.keyboard.press('Enter')
        await page.waitForFunction(() => location.pathname === '/monday')
        await settled(page)
        // What was promised?
        await page.keyboard.press('g')
        await page.keyboard.press('m')
        await page.waitForFunction(() => location.pathname === '/promises')
        await page.waitForSelector('blockquote')
        await settled(page)
      }))

    await test(`a leader's day on a phone, ${language}`, () =>
      visit(`/?lang=${language}`, { width: sizes.phone[0], height: sizes.phone[1], dark: true }, async (page) => {
        await page.locator('#targets + ul a.name').first().click()
        await page.waitForURL('**/kpis/*')
        await settled(page)
        await page.goBack()
        await page.waitForFunction(() => location.pathname === '/')
        await settled(page)
        // The period in its sheet, and in the address.
        await page.locator('.page-head button').first().click()
        const period = page.locator('dialog[open] select').first()
        const last = await period.locator('option').nth(2).getAttribute('value')
        await period.selectOption(last)
        await page.waitForFunction(() => new URLSearchParams(location.search).has('from'))
        if (language === languages[0]) await accessible(page)
        await page.keyboard.press('Escape')
        await settled(page)
        // The menu leads on.
        await page.locator('.masthead .icon').last().click()
        await page.locator('dialog[open] nav a[href^="/promises"]').click()
        await page.waitForFunction(() => location.pathname === '/promises')
        await settled(page)
        must((await page.locator('dialog[open]').count()) === 0, 'the menu stands before the page')
      }))
  }
}
