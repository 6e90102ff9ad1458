// What every file of tests in a browser uses: opening an address, waiting, looking with
// axe, taking pictures, counting. It knows nothing of the pack: what to expect is asked of
// the API.
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// The screens that readers have, in pixels.
export const sizes = { laptop: [1440, 900], phone: [360, 780], wall: [3840, 2160] }

export const must = (held, what) => {
  if (!held) throw new Error(what)
}

// settled waits until the heading stands, no skeleton is left and nothing loads.
export async function settled(page) {
  await page.waitForSelector('h1', { timeout: 60_000 })
  await page.waitForFunction(() => !document.querySelector('.skeleton') && !document.querySelector('[aria-busy="true"]') && !document.querySelector('.refreshing'), undefined, { timeout: 60_000 })
  await page.evaluate(() => document.fonts.ready)
}

// accessible demands that axe finds nothing on the page as it stands.
export async function accessible(page) {
  await settled(page) // what is being refreshed is paler for that moment
  await page.evaluate(axe)
  // What axe would load beforehand of an editor's shadow tree it writes into a style element,
  // which the page's security policy does not allow.
  const result = await page.evaluate(() => globalThis.axe.run(document, { preload: !document.querySelector('[data-editor]'), runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  must(result.violations.length === 0, result.violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join('\n  ')}`).join('\n'))
}

// tabTo presses Tab until a locator has the focus, as somebody without a mouse does.
export async function tabTo(page, locator, most = 120) {
  for (let i = 0; i < most; i++) {
    if (await locator.evaluate((e) => e === document.activeElement)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab does not reach ${locator}`)
}

// open starts the browser against a server; url without a slash at its end, token of
// somebody who may see everything, screens a folder for pictures or undefined.
export async function open({ url, token, executable, screens }) {
  if (screens) mkdirSync(screens, { recursive: true })
  const headers = token ? { Authorization: `Bearer ${token}` } : {}
  const browser = await chromium.launch({
    executablePath: executable,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  const counts = { passed: 0, failed: 0 }

  const api = async (path) => {
    const response = await fetch(url + path, { headers })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  // test runs one test and goes on when it fails.
  async function test(name, run) {
    try {
      await run()
      counts.passed++
      console.log(`ok    ${name}`)
    } catch (error) {
      counts.failed++
      console.log(`FAIL  ${name}\n      ${String(error.message ?? error).split('\n').join('\n      ')}`)
    }
  }

  // visit opens an address in a fresh context, waits until it stands still, runs and
  // then demands that nothing was said on the console (unless quiet is false, or what ignore
  // matches), nothing
  // came from elsewhere and nothing stands beyond the right edge. As is the header by
  // which somebody else than the token's owner reads; null is nobody.
  async function visit(path, { width = 1440, height = 900, dark = false, quiet = true, ignore, screen, as = headers } = {}, run = async () => {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', locale: 'en-GB', extraHTTPHeaders: as ?? {}, acceptDownloads: true })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url })
    const page = await context.newPage()
    const said = []
    const elsewhere = []
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && !ignore?.test(m.text()) && said.push(m.text()))
    page.on('pageerror', (e) => said.push(e.message))
    page.on('request', (r) => !r.url().startsWith(url + '/') && !r.url().startsWith('data:') && !r.url().startsWith('blob:') && elsewhere.push(r.url()))
    try {
      await page.goto(url + path)
      await settled(page)
      await run(page)
      if (screen && screens) await page.screenshot({ path: join(screens, screen + '.png'), fullPage: true })
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      must(over <= 0, `the page is ${over} px wider than the screen`)
      must(elsewhere.length === 0, `asked another host: ${elsewhere.join(' ')}`)
      if (quiet) must(said.length === 0, `the console says: ${said.join(' | ')}`)
    } finally {
      await context.close()
    }
  }

  const labels = await api('/v1/labels')
  const languages = ['uz', 'ru', 'en'].filter((l) => labels.languages.includes(l))

  // everywhere looks at one page as its readers do: each language, each screen and both
  // themes come up, with axe and pictures called <name>-<language>-<screen>. With every,
  // and when pictures are kept, in all combinations of language and screen.
  async function everywhere(name, path, { every = false, ignore } = {}, run = async () => {}) {
    const [first, second = first, third = first] = languages
    const few = [[third, 'laptop', false], [second, 'laptop', true], [first, 'phone', true], [first, 'wall', false]]
    const all = languages.flatMap((l) => Object.keys(sizes).map((s) => [l, s, s === 'phone' ? l !== 'en' : l === 'ru']))
    for (const [language, size, dark] of every || screens ? all : few) {
      const [width, height] = sizes[size]
      await test(`${name}, ${language}, ${size}${dark ? ', dark' : ''}`, () =>
        visit(`${path}${path.includes('?') ? '&' : '?'}lang=${language}`, { width, height, dark, ignore, screen: `${name}-${language}-${size}` }, async (page) => {
          await run(page)
          await accessible(page)
        }))
    }
  }

  return { url, headers, api, test, visit, everywhere, labels, languages, counts, close: () => browser.close() }
}
