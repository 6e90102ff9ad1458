// The catalogue of definitions.
import { must, settled } from './kit.mjs'

export default async function ({ api, test, visit, everywhere }) {
  const { kpis } = await api('/v1/kpis')

  await everywhere('definitions', '/kpis')

  await test('every figure stands in the catalogue, and is found by its name', () =>
    visit('/kpis?lang=en', {}, async (page) => {
      const shown = await page.locator('main h3').count()
      must(shown === kpis.length, `${shown} of ${kpis.length}`)
      await page.locator('.search-field input').fill(kpis[0].title.en ?? kpis[0].id)
      await page.waitForFunction((all) => document.querySelectorAll('main h3').length < all, kpis.length)
      const first = page.locator('main h3 a', { hasText: kpis[0].title.en ?? kpis[0].id }).first()
      await first.click()
      await page.waitForURL(`**/kpis/${kpis[0].id}*`)
      await settled(page)
    }))
}
