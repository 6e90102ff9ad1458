// How fast the page is: what it fetches before it shows anything, when it shows something, and
// how long it keeps somebody waiting who clicks or types.
//
//   node browser/bench.mjs --url http://127.0.0.1:8080 --token T [--rounds 3] [--chromium /usr/bin/chromium]
//
// Two figures stand beside each other: milliseconds until the next picture, as the browser's
// own event timing tells them, in which whatever else the machine does is included; and the
// processor time of the longest task of the main thread in answer, in which it is not. Each is
// the median of the rounds. Nothing here decides a test.
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'
import { settled } from './kit.mjs'

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, token: { type: 'string' }, rounds: { type: 'string', default: '3' }, chromium: { type: 'string', default: '/usr/bin/chromium' } },
})
if (!options.url) {
  console.error('say where the server is: --url http://127.0.0.1:8080')
  process.exit(2)
}
const base = options.url.replace(/\/$/, '')
const headers = options.token ? { Authorization: `Bearer ${options.token}` } : {}
const api = async (path) => {
  const response = await fetch(base + path, { headers })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]

const card = await api('/v1/scorecard')
const { kpis } = await api('/v1/kpis')
const regional = (row) => kpis.find((k) => k.id === row.kpi)?.dimensions.some((d) => d.to === 'regions')
const row = card.rows.find((r) => r.cell?.state === 'value' && r.unit === 'percent' && r.basis === 'events' && regional(r)) ?? card.rows.find((r) => r.cell?.state === 'value')
if (!row) throw new Error('the server has no figure to look at: load data first')
const kpi = `/kpis/${row.kpi}?lang=en`
const { dimensions } = kpis.find((k) => k.id === row.kpi)

// The scripts that the page names: everything else comes when it is needed.
const initial = [...(await (await fetch(base + '/')).text()).matchAll(/(?:src|href)="(\/[^"]+\.js)"/g)].map((m) => m[1])

const where = 'section[aria-labelledby="where"]'
const click = (selector) => (page) => page.locator(selector).first().click()
const type = (selector, text) => async (page) => {
  await page.locator(selector).first().focus()
  await page.keyboard.type(text, { delay: 60 })
}
// What people do, the page that they do it on, and how it is done; before is not measured.
const deeds = [
  ['language', '/?lang=en', click('.languages button[lang=ru]')],
  ['language', kpi, click('.languages button[lang=ru]')],
  ['dark and light', kpi, click('.masthead button.icon:not([aria-haspopup])')],
  ['breakdown by another dimension', kpi, (page) => page.keyboard.press(dimensions[0].to === 'regions' ? 'End' : 'Home'), (page) => page.locator(`${where} select`).focus()],
  ['into a part', kpi, click('.bars tbody a')],
  ['chart to table, over time', kpi, click('section[aria-labelledby="over-time"] button[aria-pressed]')],
  ['bars to heat map', kpi, click(`${where} button:text-is("Heat map")`)],
  ['typing a filter', '/services?lang=en', type('main input[type=search]', 'pasport')],
  ['sorting projects', '/projects?lang=en&tab=table', click('table.data thead th:nth-child(3) button')],
  ['typing a search', '/?lang=en', type('.finder input', 'cert'), (page) => page.keyboard.press('/')],
  ['typing in the workbench', '/workbench?lang=en', (page) => page.keyboard.type('\nselect count()', { delay: 60 }), click('.wb-editor .cm-content')],
]

const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu'] })

// traced is what the main thread did while run ran: the processor time of its tasks in ms.
async function traced(context, page, run) {
  const cdp = await context.newCDPSession(page)
  const events = []
  cdp.on('Tracing.dataCollected', ({ value }) => events.push(...value))
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'devtools.timeline'] } })
  await run()
  const over = new Promise((done) => cdp.once('Tracing.tracingComplete', done))
  await cdp.send('Tracing.end')
  await over
  await cdp.detach()
  const tasks = new Map()
  const named = new Map(events.filter((e) => e.name === 'thread_name').map((e) => [`${e.pid} ${e.tid}`, e.args.name]))
  for (const e of events) {
    const thread = `${e.pid} ${e.tid}`
    if (e.ph === 'X' && e.tdur && /(^|::)RunTask$/.test(e.name) && named.get(thread) === 'CrRendererMain') tasks.set(thread, [...(tasks.get(thread) ?? []), e.tdur / 1000])
  }
  return [...tasks.values()].toSorted((a, b) => b.length - a.length)[0] ?? [] // the page's own renderer has the most
}

async function visit(path, run) {
  const context = await browser.newContext({ viewport: { width: 1350, height: 940 }, locale: 'en-GB', extraHTTPHeaders: headers })
  await context.route('**/v1/me/settings', (route) => (route.request().method() === 'PUT' ? route.abort() : route.continue())) // what is tried out here is nobody's choice
  try {
    return await run(await context.newPage(), context, path)
  } finally {
    await context.close()
  }
}

// What is watched from within: pictures, and events with the time until the picture after them.
function watch() {
  globalThis.watched = { events: [], largest: 0 }
  new PerformanceObserver((list) => list.getEntries().forEach((e) => e.interactionId && globalThis.watched.events.push(e.duration))).observe({ type: 'event', durationThreshold: 16 })
  new PerformanceObserver((list) => list.getEntries().forEach((e) => (globalThis.watched.largest = e.startTime))).observe({ type: 'largest-contentful-paint', buffered: true })
}

const open = (path) =>
  visit(path, async (page, context) => {
    await page.addInitScript(watch)
    const tasks = await traced(context, page, async () => {
      await page.goto(base + path)
      await settled(page)
      await page.waitForTimeout(500)
    })
    return page.evaluate(([tasks, initial]) => {
      const paints = performance.getEntriesByType('paint')
      const scripts = performance.getEntriesByType('resource').filter((r) => r.name.endsWith('.js'))
      return {
        first: paints.find((p) => p.name === 'first-contentful-paint')?.startTime ?? 0,
        largest: globalThis.watched.largest,
        scripts: scripts.reduce((sum, r) => sum + r.encodedBodySize, 0),
        initial: scripts.filter((r) => initial.some((name) => r.name.endsWith(name))).reduce((sum, r) => sum + r.encodedBodySize, 0),
        all: tasks.reduce((sum, t) => sum + t, 0),
        over: tasks.reduce((sum, t) => sum + Math.max(0, t - 50), 0),
        longest: Math.max(...tasks),
      }
    }, [tasks, initial])
  })

const act = (path, deed, before) =>
  visit(path, async (page, context) => {
    await page.addInitScript(watch)
    await page.goto(base + path)
    await settled(page)
    await page.waitForTimeout(500)
    await before?.(page)
    await page.waitForTimeout(300)
    await page.evaluate(() => (globalThis.watched.events = []))
    const tasks = await traced(context, page, async () => {
      await deed(page)
      await settled(page)
      await page.waitForTimeout(300)
    })
    return { duration: await page.evaluate(() => Math.max(0, ...globalThis.watched.events)), longest: Math.max(0, ...tasks) }
  })

const rounds = Number(options.rounds)
const several = async (measure) => {
  const list = []
  for (let i = 0; i < rounds; i++) list.push(await measure())
  return Object.fromEntries(Object.keys(list[0]).map((name) => [name, median(list.map((one) => one[name]))]))
}
const ms = (v) => v.toFixed(0)
try {
  console.log(`${'page'.padEnd(44)} script KB  all KB  first ms  largest ms  work ms  longest ms  over 50 ms`)
  for (const path of ['/?lang=en', kpi]) {
    const m = await several(() => open(path))
    console.log(`${path.padEnd(44)} ${(m.initial / 1024).toFixed(0).padStart(9)} ${(m.scripts / 1024).toFixed(0).padStart(7)} ${ms(m.first).padStart(9)} ${ms(m.largest).padStart(11)} ${ms(m.all).padStart(8)} ${ms(m.longest).padStart(11)} ${ms(m.over).padStart(11)}`)
  }
  console.log(`\n${'interaction'.padEnd(34)} ${'page'.padEnd(44)} next picture ms  longest task ms`)
  for (const [name, path, deed, before] of deeds) {
    const m = await several(() => act(path, deed, before))
    console.log(`${name.padEnd(34)} ${path.padEnd(44)} ${(m.duration ? ms(m.duration) : 'below 16').padStart(15)} ${ms(m.longest).padStart(16)}`)
  }
} finally {
  await browser.close()
}
