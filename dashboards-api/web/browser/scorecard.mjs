// The scorecard, and that its figures are those of the API and of the KPI's page.
import { accessible, must, settled } from './kit.mjs'

export default async function ({ api, test, visit, everywhere }) {
  const card = await api('/v1/scorecard')
  const row = card.rows.find((r) => r.cell?.state === 'value' && r.basis === 'events' && r.unit === 'percent') ?? card.rows.find((r) => r.cell?.state === 'value')
  must(row, 'the server has no figure to look at: load data first')

  await everywhere('scorecard', '/')

  await test('the same figure on the scorecard, on the KPI page and in the API', () =>
    visit('/?lang=en', {}, async (page) => {
      const shown = row.unit === 'percent' ? row.cell.value.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 }) : undefined
      const link = page.locator(`a.name[href*="/kpis/${row.kpi}?"]`).first()
      const onCard = await link.locator('xpath=ancestor::*[self::tr or self::article]').locator('.figure').first().innerText()
      if (shown) must(onCard.startsWith(shown), `API ${shown}, scorecard ${onCard}`)
      await link.click()
      await page.waitForURL(`**/kpis/${row.kpi}*`)
      await settled(page)
      const onPage = await page.locator('.huge .figure').innerText()
      must(onPage === onCard, `scorecard ${onCard}, KPI page ${onPage}`)
      await page.goBack()
      await page.waitForFunction(() => location.pathname === '/')
      await settled(page)
    }))

  await test('on a phone the systems are folded, by keyboard too, and printed open', () =>
    visit('/?lang=en', { width: 360, height: 780, screen: 'scorecard-folded' }, async (page) => {
      const fold = page.locator('table button[aria-expanded]').first()
      const first = page.locator('table tbody').first().locator('tr').nth(1)
      must((await fold.getAttribute('aria-expanded')) === 'false' && !(await first.isVisible()), 'the first system is open')
      await page.emulateMedia({ media: 'print' })
      must(await first.isVisible(), 'what is folded is not printed')
      await page.emulateMedia({ media: 'screen' })
      await fold.focus()
      await page.keyboard.press('Enter')
      await first.waitFor({ state: 'visible' })
      await accessible(page)
      await first.locator('a.name').click()
      await page.waitForFunction(() => location.pathname !== '/')
      await page.goBack()
      await page.waitForFunction(() => location.pathname === '/')
      await settled(page)
      must(await first.isVisible(), 'what was opened is folded again on the way back')
    }))

  const regions = await api('/v1/regions').catch(() => null)
  if (regions?.rows.length)
    await test('the scorecard of one region names it, on a phone and on paper', async () => {
      const [region] = regions.rows
      await visit(`/?lang=en&where=${encodeURIComponent(`region=${region.code}`)}`, { width: 360, height: 780, screen: 'scorecard-region' }, async (page) => {
        const named = async (where) => must((await page.locator('h1').innerText()).includes(region.names.en), `${where}: the heading is ${await page.locator('h1').innerText()}`)
        await named('a phone')
        await page.emulateMedia({ media: 'print' })
        await named('paper')
      })
    })

  await test('a period without data teaches', () => visit('/?lang=en&from=1970-01-01&to=1970-12-31', {}, accessible))
}
