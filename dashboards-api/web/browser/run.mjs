// The page as its readers meet it, in a real browser against a running server:
//
//   npm run test:browser -- --url http://127.0.0.1:8080 [--token T] [--only scorecard,kpi] [--screens DIR] [--figures FILE]
//
// Each other file of this folder that has a default export holds the tests of one area and
// is given the kit. With --screens it keeps pictures; --figures is a file of figures by KPI
// that the command printed (figures.mjs). Exit code 1 when anything failed; the
// last line counts.
import { readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { open } from './kit.mjs'

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' }, screens: { type: 'string' }, token: { type: 'string' }, only: { type: 'string' }, figures: { type: 'string' } },
})
if (!options.url) {
  console.error('say where the server is: --url http://127.0.0.1:8080')
  process.exit(2)
}
const tools = ['run.mjs', 'kit.mjs', 'lighthouse.mjs', 'bench.mjs', 'signin.mjs', 'pictures.mjs'] // programs of their own
const areas = readdirSync(import.meta.dirname).filter((f) => f.endsWith('.mjs') && !tools.includes(f)).map((f) => f.slice(0, -'.mjs'.length)).sort()
const wanted = options.only?.split(',') ?? areas
const unknown = wanted.filter((area) => !areas.includes(area))
if (unknown.length) {
  console.error(`there is no ${unknown.join(', ')}; there are ${areas.join(', ')}`)
  process.exit(2)
}
const kit = await open({ url: options.url.replace(/\/$/, ''), token: options.token, executable: options.chromium, screens: options.screens })
if (options.figures) kit.figures = JSON.parse(readFileSync(options.figures, 'utf8'))
// Readers wait more than they compute: some areas at once. Those come last that change what the
// others read.
const last = ['quality', 'live']
const waiting = wanted.filter((area) => !last.includes(area))
await Promise.all(Array.from({ length: 3 }, async () => {
  for (let area; (area = waiting.shift()); ) {
    const began = Date.now()
    await (await import(`./${area}.mjs`)).default(kit)
    console.log(`      ${area}: ${((Date.now() - began) / 1000).toFixed(0)} s`)
  }
}))
for (const area of last.filter((a) => wanted.includes(a))) await (await import(`./${area}.mjs`)).default(kit)
await kit.close()
console.log(`${kit.counts.passed} passed, ${kit.counts.failed} failed`)
process.exit(kit.counts.failed ? 1 : 0)
