// What stands around every page: size, keys, unknown addresses, a lost connection.
import { gzipSync } from 'node:zlib'
import { accessible, must, settled, tabTo } from './kit.mjs'

export default async function ({ url, api, languages, test, visit }) {
  await test('initial script is at most 250 KB compressed', async () => {
    const html = await (await fetch(url + '/')).text()
    const scripts = [...html.matchAll(/(?:src|href)="(\/[^"]+\.js)"/g)].map((m) => m[1])
    must(scripts.length > 0, 'the page names no script; was it built?')
    let size = 0
    for (const s of scripts) size += gzipSync(Buffer.from(await (await fetch(url + s)).arrayBuffer())).length
    must(size <= 250 * 1024, `${size} bytes`)
  })

  await test('by keyboard alone: the scorecard, the list of keys', () =>
    visit('/settings?lang=en', {}, async (page) => {
      await page.keyboard.press('g')
      await page.keyboard.press('s')
      await page.waitForFunction(() => location.pathname === '/')
      await settled(page)
      await page.keyboard.press('?')
      await page.waitForSelector('dialog[open]')
      await page.keyboard.press('Escape')
      await page.waitForSelector('dialog[open]', { state: 'detached' })
    }))

  await test('an unknown address and an unknown KPI have a page', async () => {
    await visit('/nothing/here?lang=en', {}, accessible)
    await visit(`/kpis/${'no-such-kpi-'.repeat(250)}?lang=en`, { quiet: false }, async (page) => {
      must((await page.locator('h1').innerText()).length < 120, 'the whole of a long address is its heading')
      await accessible(page)
    })
    await visit('/projects/..%2F..?lang=en', { quiet: false }, (page) => page.locator('main .empty a[href^="/projects"]').waitFor())
  })

  await test('a bad address says what is allowed, and leads back', async () => {
    const [kpi] = (await api('/v1/kpis')).kpis.filter((k) => k.dimensions.length > 0)
    await visit(`/kpis/${kpi.id}x?lang=en`, { quiet: false }, async (page) => {
      await page.locator(`main a[href*="/kpis/${kpi.id}?"]`).first().waitFor()
      must(await page.locator('main a[href^="/kpis?"]').count(), 'no way to all figures')
    })
    await visit(`/kpis/${kpi.id}?lang=en&by=colour`, {}, async (page) => {
      const told = page.locator('.notice', { hasText: 'colour' })
      must((await told.locator('a').count()) > 0, 'it does not say by what the figure can be broken down')
      await told.locator('a').first().click()
      await told.waitFor({ state: 'detached' })
    })
    for (const lang of languages) {
      await visit(`/services/no-such-service?lang=${lang}`, { quiet: false }, async (page) => {
        must(!(await page.locator('main').innerText()).includes('/v1/'), 'it shows the words of the API')
        await page.locator('main .empty a[href^="/services"]').waitFor()
      })
      await visit(`/?lang=${lang}&from=2130-01-01&to=2130-12-31`, { quiet: false }, async (page) => {
        const refusal = page.locator('.failure')
        must(lang === 'en' || !(await refusal.innerText()).includes('after today'), 'it is told in English')
        await accessible(page)
        await refusal.getByRole('link').click()
        await page.waitForFunction(() => !location.search.includes('2130'))
        await settled(page)
        must((await page.locator('.failure').count()) === 0, 'the way back leads nowhere')
      })
    }
  })

  await test('a lost connection is told, and mended by itself', () =>
    visit('/?lang=en', { quiet: false }, async (page) => {
      await page.route('**/v1/live', (route) => route.abort())
      await page.goto(url + '/?lang=en')
      await page.waitForSelector('.notice.lost', { timeout: 20_000 })
      await accessible(page)
      await page.unroute('**/v1/live')
      await page.waitForSelector('.notice.lost', { state: 'detached', timeout: 30_000 })
    }))

  await test('a page that does not come leaves the frame, and comes once the server is back', () =>
    visit('/settings?lang=en', { quiet: false }, async (page) => {
      await page.route('**/*', (route) => route.abort())
      await page.locator('.masthead nav a[href^="/services"]').click()
      await page.locator('main .failure').waitFor()
      must((await page.title()).startsWith('Services'), `the tab is called ${await page.title()}`)
      await accessible(page)
      const again = page.getByRole('button', { name: 'Try again' })
      await tabTo(page, again)
      await page.keyboard.press('Enter')
      await page.locator('main .failure [role=status]', { hasText: 'still' }).waitFor()
      must(await again.evaluate((button) => button === document.activeElement), 'the focus is lost while the server is away')
      await page.evaluate(() => (window.stays = true))
      await page.unroute('**/*')
      await page.waitForSelector('main .failure', { state: 'detached', timeout: 20_000 })
      await settled(page)
      must(await page.evaluate(() => window.stays), 'everything was loaded again')
      must(await page.evaluate(() => document.activeElement.id === 'content'), 'the focus is lost once the page has come')
      must(await page.evaluate(() => [...document.querySelectorAll('link[rel=stylesheet]')].every((link) => link.sheet)), 'the page came without its style sheet')
    }))

  await test('a page of which the server has another version is loaded again, once', () =>
    visit('/settings?lang=en', { quiet: false }, async (page) => {
      const gone = /\/assets\/services[^/]*\.js/
      await page.route(gone, (route) => route.fulfill({ status: 404 }))
      let loads = 0
      const count = () => loads++
      page.on('load', count)
      const second = page.waitForEvent('load')
      await page.locator('.masthead nav a[href^="/services"]').click()
      await second
      await page.locator('main .failure').waitFor()
      await page.waitForResponse((response) => gone.test(response.url())) // it is asked for again
      must(loads === 1, `loaded ${loads} times`)
      page.removeListener('load', count)
      await page.unroute(gone)
      await page.waitForSelector('main .failure', { state: 'detached', timeout: 20_000 })
      must(new URL(page.url()).pathname === '/services', page.url())
    }))

  await test('documentation is accessible', () => visit('/docs', {}, accessible))
}
