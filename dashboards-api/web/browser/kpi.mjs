// The page of one KPI.
import { accessible, must, settled, tabTo } from './kit.mjs'

export default async function ({ api, test, visit, everywhere }) {
  const card = await api('/v1/scorecard')
  const row = card.rows.find((r) => r.cell?.state === 'value' && r.basis === 'events' && r.unit === 'percent') ?? card.rows.find((r) => r.cell?.state === 'value')
  must(row, 'the server has no figure to look at: load data first')
  const kpi = await api(`/v1/kpis/${row.kpi}`)
  const days = card.from && card.to ? `from=${card.from}&to=${card.to}` : ''

  await everywhere('kpi', `/kpis/${row.kpi}?${days}`, {}, (page) => page.waitForSelector('.chart svg'))

  await test('by keyboard alone: search, open, table', () =>
    visit('/?lang=en', {}, async (page) => {
      await page.keyboard.press('/')
      await page.keyboard.type(kpi.id)
      await page.waitForSelector('[role=option]')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/kpis/${kpi.id}*`)
      await settled(page)
      const table = page.locator('button[aria-pressed]', { hasText: 'Table' })
      await tabTo(page, table)
      must((await table.evaluate((b) => getComputedStyle(b).outlineStyle)) !== 'none', 'focus is not visible')
      await page.keyboard.press('Enter')
      await page.waitForSelector('table.plain')
      await accessible(page)
    }))

  if (kpi.dimensions.length > 0) {
    await test('a click on a part narrows the page, and its chip widens it again', () =>
      visit(`/kpis/${kpi.id}?lang=en&${days}`, {}, async (page) => {
        const part = page.locator('.bars tbody a').first()
        const name = await part.innerText()
        await part.click()
        await page.waitForSelector('.chips button')
        await settled(page)
        must(new URL(page.url()).searchParams.has('where'), 'the filter is not in the address')
        must((await page.locator('h1').innerText()).includes(name), 'the title does not say the part')
        await page.locator('.chips button').click()
        await page.waitForSelector('.chips', { state: 'detached' })
      }))
  }

  await test('the sentence is copied in the language that was chosen', () =>
    visit(`/kpis/${kpi.id}?lang=en&${days}`, {}, async (page) => {
      await page.locator('[role=group] button[lang=ru]', { hasText: 'Рус' }).last().click()
      const text = await page.evaluate(() => navigator.clipboard.readText())
      must(/Данные по/.test(text), text)
    }))

  await test('a bad parameter says what is allowed', () =>
    visit(`/kpis/${kpi.id}?lang=en&grain=fortnight`, { quiet: false }, async (page) => {
      const text = await page.locator('.failure').first().innerText()
      must(/month/.test(text), text)
      await accessible(page)
    }))
}
