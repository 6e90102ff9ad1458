// Every published sentence beside the measured figure.
import { must } from './kit.mjs'

export default async function ({ api, url, test, visit, everywhere }) {
  await everywhere('promises', '/promises')

  await test('every published sentence stands there, with a permanent address of its figure', () =>
    visit('/promises?lang=en', {}, async (page) => {
      const { targets } = await api('/v1/targets')
      const shown = await page.locator('blockquote').allInnerTexts()
      const missing = targets.filter((t) => !shown.some((s) => s.includes(t.wording)))
      must(missing.length === 0, `not told: ${missing.map((t) => t.wording).join('; ')}`)
      await page.locator('button', { hasText: 'Permanent address' }).first().click()
      const address = new URL(await page.evaluate(() => navigator.clipboard.readText()))
      must(address.origin === url && address.searchParams.has('known_on'), address.href)
    }))

  await test('figures as they were known say so, and lead back', () =>
    visit('/promises?lang=en&known_on=2024-06-30', {}, async (page) => {
      must((await page.locator('main .notice').allInnerTexts()).some((t) => t.includes('30 June 2024')), 'nothing says that these are old figures')
      await page.locator('button', { hasText: 'Show what is known now' }).click()
      await page.waitForFunction(() => !location.search.includes('known_on'))
    }))
}
