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
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
  // Nothing is loaded beforehand: no rule of these needs it, and what axe would load of an editor's
  // shadow tree it writes into a style element, which the page's security policy does not allow.
  // What holds is not told, which spares half of the work.
  const result = await page.evaluate(() => globalThis.axe.run(document, { preload: false, resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  must(result.violations.length === 0, result.violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join('\n  ')}`).join('\n'))
}

// fits demands that nothing stands beyond the right edge.
export async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  must(over <= 0, `the page is ${over} px wider than the screen`)
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

  // A server that has its hands full is asked again, as the page does.
  const api = async (path) => {
    let response = await fetch(url + path, { headers })
    for (let again = 0; response.status === 503 && again < 5; again++) response = await fetch(url + path, { headers })
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

  // Pages that wait for the next visit of the token's owner, each alone in its context: as in a
  // reader's own browser the scripts are there already, but nothing that was chosen.
  const idle = []

  async function fresh(as) {
    const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB', extraHTTPHeaders: as ?? {}, acceptDownloads: true })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url })
    return context.newPage()
  }

  // visit opens an address, waits until it stands still, runs and then demands that nothing was
  // said on the console (unless quiet is false, or what ignore matches), nothing came from
  // elsewhere and nothing stands beyond the right edge. As is the header by which somebody else
  // than the token's owner reads; null is nobody.
  async function visit(path, { width = 1440, height = 900, dark = false, quiet = true, ignore, screen, as = headers } = {}, run = async () => {}) {
    const page = (as === headers && idle.pop()) || (await fresh(as))
    await page.setViewportSize({ width, height })
    await page.emulateMedia({ media: null, colorScheme: dark ? 'dark' : 'light' })
    const said = []
    const elsewhere = []
    // The server has its hands full, and the page asks again; whether it then has an answer is seen.
    const busy = /status of 503/
    const mostBusy = 20
    let timesBusy = 0
    const listeners = {
      console: (m) => ['error', 'warning'].includes(m.type()) && !ignore?.test(m.text()) && (busy.test(m.text()) ? timesBusy++ : said.push(`${m.text()} ${m.location().url}`.trim())),
      pageerror: (e) => said.push(e.message),
      request: (r) => !r.url().startsWith(url + '/') && !r.url().startsWith('data:') && !r.url().startsWith('blob:') && elsewhere.push(r.url()),
    }
    for (const [event, listener] of Object.entries(listeners)) page.on(event, listener)
    let held = false
    try {
      await page.goto(url + path)
      await settled(page)
      await run(page)
      if (screen && screens) await page.screenshot({ path: join(screens, screen + '.png'), fullPage: true })
      await fits(page)
      must(elsewhere.length === 0, `asked another host: ${elsewhere.join(' ')}`)
      if (quiet) must(said.length === 0, `the console says: ${said.join(' | ')}`)
      if (quiet) must(timesBusy <= mostBusy, `the server was busy ${timesBusy} times`)
      held = as === headers
    } finally {
      for (const [event, listener] of Object.entries(listeners)) page.removeListener(event, listener)
      if (held) {
        await page.unrouteAll()
        await page.evaluate(() => (localStorage.clear(), sessionStorage.clear()))
        await page.goto('about:blank') // what it still asks for is nobody's
        idle.push(page)
      } else await page.context().close()
    }
  }

  const labels = await api('/v1/labels')
  const languages = ['uz', 'ru', 'en'].filter((l) => labels.languages.includes(l))

  // everywhere looks at one page as its readers do: on a laptop in light, from where the language
  // is changed and the screen becomes a wall; and on a phone in the dark. So each page meets every
  // language, screen and theme, with axe once in each theme; which language is read on what goes
  // round from page to page. Where pictures are kept it is all combinations of language and screen,
  // called <name>-<language>-<screen>.
  async function everywhere(name, path, { ignore } = {}, run = async () => {}) {
    const look = (language, size, dark, then = async () => {}) =>
      visit(`${path}${path.includes('?') ? '&' : '?'}lang=${language}`, { width: sizes[size][0], height: sizes[size][1], dark, ignore, screen: `${name}-${language}-${size}` }, async (page) => {
        await run(page)
        await accessible(page)
        await then(page)
      })
    if (screens) {
      for (const language of languages) for (const size of Object.keys(sizes)) await test(`${name}, ${language}, ${size}`, () => look(language, size, size === 'phone' ? language !== 'en' : language === 'ru'))
      return
    }
    const turn = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0)
    const [laptop, wall, phone] = [0, 1, 2].map((i) => languages[(turn + i) % languages.length])
    await test(`${name}, laptop in ${laptop}, wall in ${wall}`, () =>
      look(laptop, 'laptop', false, async (page) => {
        await fits(page)
        await page.locator(`.languages button[lang=${wall}]`).click()
        await page.setViewportSize({ width: sizes.wall[0], height: sizes.wall[1] })
        await page.waitForFunction((language) => document.documentElement.lang === language, wall)
        await settled(page)
      }))
    await test(`${name}, phone in ${phone}, dark`, () => look(phone, 'phone', true))
  }

  // tabs looks behind each title of a page, on a laptop and in the dark on a phone, with axe;
  // pictures are called <name>-<tab>.
  async function tabs(name, path, keys, language) {
    for (const [screen, lang, dark] of [['laptop', 'en', false], ['phone', language, true]]) {
      await test(`${name}, ${keys.join(', ')}, ${screen}`, () =>
        visit(`${path}?lang=${lang}&tab=${keys[0]}`, { width: sizes[screen][0], height: sizes[screen][1], dark }, async (page) => {
          for (const key of keys) {
            await page.locator(`[role=tab][id$="-trigger-${key}"]`).click()
            await page.waitForSelector(`[role=tab][id$="-trigger-${key}"][aria-selected=true]`)
            await accessible(page)
            await fits(page)
            if (screens && screen === 'laptop') await page.screenshot({ path: join(screens, `${name}-${key}.png`), fullPage: true })
          }
        }))
    }
  }

  return { url, headers, api, test, visit, everywhere, tabs, labels, languages, counts, close: () => browser.close() }
}
