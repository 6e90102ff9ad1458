// The page as its readers meet it, in a real browser against a running server:
//
//   npm run test:browser -- --url http://127.0.0.1:8080 [--chromium /usr/bin/chromium] [--screens DIR]
//
// It knows nothing of the pack: what to expect it asks of the API. With --screens
// it keeps pictures. Exit code 1 when anything failed; the last line counts.
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' }, screens: { type: 'string' }, token: { type: 'string' } },
})
if (!options.url) {
  console.error('say where the server is: --url http://127.0.0.1:8080')
  process.exit(2)
}
const base = options.url.replace(/\/$/, '')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
if (options.screens) mkdirSync(options.screens, { recursive: true })

const headers = options.token ? { Authorization: `Bearer ${options.token}` } : {}
const api = async (path) => {
  const response = await fetch(base + path, { headers })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

let passed = 0
let failed = 0
async function test(name, run) {
  try {
    await run()
    passed++
    console.log(`ok    ${name}`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}\n      ${String(error.message ?? error).split('\n').join('\n      ')}`)
  }
}
const must = (held, what) => {
  if (!held) throw new Error(what)
}

const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

// visit opens an address in a fresh context, waits until it stands still, runs and
// then demands that nothing was said on the console, nothing came from elsewhere
// and nothing stands beyond the right edge.
async function visit(path, { width = 1440, height = 900, dark = false, quiet = true, screen } = {}, run = async () => {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', locale: 'en-GB', extraHTTPHeaders: headers })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base })
  const page = await context.newPage()
  const said = []
  const elsewhere = []
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && said.push(m.text()))
  page.on('pageerror', (e) => said.push(e.message))
  page.on('request', (r) => !r.url().startsWith(base + '/') && !r.url().startsWith('data:') && elsewhere.push(r.url()))
  try {
    await page.goto(base + path)
    await settled(page)
    await run(page)
    if (screen && options.screens) await page.screenshot({ path: join(options.screens, screen + '.png'), fullPage: true })
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    must(over <= 0, `the page is ${over} px wider than the screen`)
    must(elsewhere.length === 0, `asked another host: ${elsewhere.join(' ')}`)
    if (quiet) must(said.length === 0, `the console says: ${said.join(' | ')}`)
  } finally {
    await context.close()
  }
}

// settled waits until the heading stands and no skeleton is left.
async function settled(page) {
  await page.waitForSelector('h1', { timeout: 60_000 })
  await page.waitForFunction(() => !document.querySelector('.skeleton') && !document.querySelector('[aria-busy="true"]'), undefined, { timeout: 60_000 })
  await page.evaluate(() => document.fonts.ready)
}

async function accessible(page) {
  await page.evaluate(axe)
  const result = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  must(result.violations.length === 0, result.violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join('\n  ')}`).join('\n'))
}

const labels = await api('/v1/labels')
const card = await api('/v1/scorecard')
const languages = ['uz', 'ru', 'en'].filter((l) => labels.languages.includes(l))
const row = card.rows.find((r) => r.cell?.state === 'value' && r.basis === 'events' && r.unit === 'percent') ?? card.rows.find((r) => r.cell?.state === 'value')
must(row, 'the server has no figure to look at: load data first')
const kpi = await api(`/v1/kpis/${row.kpi}`)
const days = card.from && card.to ? `from=${card.from}&to=${card.to}` : ''

await test('initial script is at most 250 KB compressed', async () => {
  const html = await (await fetch(base + '/')).text()
  const scripts = [...html.matchAll(/(?:src|href)="(\/[^"]+\.js)"/g)].map((m) => m[1])
  must(scripts.length > 0, 'the page names no script; was it built?')
  let size = 0
  for (const s of scripts) size += gzipSync(Buffer.from(await (await fetch(base + s)).arrayBuffer())).length
  must(size <= 250 * 1024, `${size} bytes`)
})

const screens = [['laptop', 1440, 900], ['phone', 360, 780], ['wall', 3840, 2160]]
for (const language of languages) {
  for (const [screen, width, height] of screens) {
    const dark = screen === 'phone' ? language !== 'en' : language === 'ru'
    await test(`scorecard, ${language}, ${screen}${dark ? ', dark' : ''}`, () =>
      visit(`/?lang=${language}`, { width, height, dark, screen: `scorecard-${language}-${screen}` }, accessible))
    await test(`KPI, ${language}, ${screen}${dark ? ', dark' : ''}`, () =>
      visit(`/kpis/${row.kpi}?lang=${language}&${days}`, { width, height, dark, screen: `kpi-${language}-${screen}` }, async (page) => {
        await page.waitForSelector('.chart svg')
        await accessible(page)
      }))
  }
}

await test('the same figure on the scorecard, on the KPI page and in the API', () =>
  visit('/?lang=en', {}, async (page) => {
    const shown = row.unit === 'percent' ? row.cell.value.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 }) : undefined
    const link = page.locator(`a.name[href*="/kpis/${row.kpi}?"]`).first()
    const onCard = await link.locator('xpath=ancestor::*[self::tr or self::article]').locator('.figure').first().innerText()
    if (shown) must(onCard.startsWith(shown), `API ${shown}, scorecard ${onCard}`)
    await link.click()
    await settled(page)
    const onPage = await page.locator('.huge .figure').innerText()
    must(onPage === onCard, `scorecard ${onCard}, KPI page ${onPage}`)
    await page.goBack()
    await settled(page)
    must(new URL(page.url()).pathname === '/', 'back does not go back')
  }))

await test('by keyboard alone: search, open, table, scorecard', () =>
  visit('/?lang=en', {}, async (page) => {
    await page.keyboard.press('/')
    await page.keyboard.type(kpi.id)
    await page.waitForSelector('[role=option]')
    await page.keyboard.press('Enter')
    await page.waitForURL(`**/kpis/${kpi.id}*`)
    await settled(page)
    const table = page.locator('button[aria-pressed]', { hasText: 'Table' })
    for (let i = 0; i < 60 && !(await table.evaluate((b) => b === document.activeElement)); i++) await page.keyboard.press('Tab')
    must(await table.evaluate((b) => b === document.activeElement), 'Tab does not reach the table button')
    const outline = await table.evaluate((b) => getComputedStyle(b).outlineStyle)
    must(outline !== 'none', 'focus is not visible')
    await page.keyboard.press('Enter')
    await page.waitForSelector('table.plain')
    await accessible(page)
    await page.keyboard.press('g')
    await page.keyboard.press('s')
    await page.waitForFunction(() => location.pathname === '/')
    await page.keyboard.press('?')
    await page.waitForSelector('dialog[open]')
    await page.keyboard.press('Escape')
    await page.waitForSelector('dialog[open]', { state: 'detached' })
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

await test('an unknown address and an unknown KPI have a page', async () => {
  await visit('/nothing/here?lang=en', {}, accessible)
  await visit('/kpis/no-such-kpi?lang=en', { quiet: false }, accessible)
})

await test('a period without data teaches', () =>
  visit('/?lang=en&from=1970-01-01&to=1970-12-31', {}, accessible))

await test('a lost connection is told, and mended by itself', () =>
  visit('/?lang=en', { quiet: false }, async (page) => {
    await page.route('**/v1/live', (route) => route.abort())
    await page.goto(base + '/?lang=en')
    await page.waitForSelector('.notice.lost', { timeout: 20_000 })
    await accessible(page)
    await page.unroute('**/v1/live')
    await page.waitForSelector('.notice.lost', { state: 'detached', timeout: 30_000 })
  }))

await test('documentation is accessible', () => visit('/docs', {}, accessible))

await browser.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
