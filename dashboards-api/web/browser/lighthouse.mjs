// What Lighthouse says of the scorecard and of a KPI's page:
//
//   node browser/lighthouse.mjs --url http://127.0.0.1:8080 --token T [--chromium /usr/bin/chromium]
//
// Accessibility and best practices must be 95 or more. Performance depends on the machine and
// what else it does: it is printed, with the times that it stands on. Exit code 1 when anything
// is not so.
import { createServer } from 'node:net'
import { parseArgs } from 'node:util'
import lighthouse from 'lighthouse'
import desktop from 'lighthouse/core/config/desktop-config.js'
import { chromium } from 'playwright-core'

const least = 95

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, token: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' } },
})
if (!options.url) {
  console.error('say where the server is: --url http://127.0.0.1:8080')
  process.exit(2)
}
const base = options.url.replace(/\/$/, '')
const headers = options.token ? { Authorization: `Bearer ${options.token}` } : {}
const response = await fetch(base + '/v1/scorecard', { headers })
if (!response.ok) throw new Error(`/v1/scorecard: ${response.status} ${await response.text()}`)
const row = (await response.json()).rows.find((r) => r.cell?.state === 'value')
if (!row) throw new Error('the server has no figure to look at: load data first')

const port = await new Promise((found) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address()
    probe.close(() => found(port))
  })
})
const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu', `--remote-debugging-port=${port}`] })
let failed = false
try {
  for (const path of ['/?lang=en', `/kpis/${row.kpi}?lang=en`]) {
    const result = await lighthouse(base + path, { port, extraHeaders: headers, onlyCategories: ['performance', 'accessibility', 'best-practices'], maxWaitForLoad: 120_000, logLevel: 'error' }, desktop)
    const { categories, audits, runtimeError } = result.lhr
    if (runtimeError) throw new Error(`${path}: ${runtimeError.message}`)
    const score = Object.fromEntries(Object.entries(categories).map(([name, c]) => [name, Math.round(100 * c.score)]))
    const times = ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift'].map((name) => `${name} ${audits[name].displayValue}`)
    console.log(`${path}: performance ${score.performance}, accessibility ${score.accessibility}, best practices ${score['best-practices']} (${times.join(', ')})`)
    for (const name of ['accessibility', 'best-practices']) {
      if (score[name] >= least) continue
      failed = true
      for (const { id } of categories[name].auditRefs) if (audits[id].score !== null && audits[id].score < 1) console.log(`  ${name}: ${id}: ${audits[id].title}`)
    }
  }
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
