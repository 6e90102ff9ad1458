// The pictures of the documentation, docs/images, taken from a server with simulated data:
//
//   node browser/pictures.mjs --url http://127.0.0.1:8080 --token T [--to DIR] [--chromium /usr/bin/chromium]
//
// Each has to say that its data are simulated, and is refused above 300 KB.
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { must, open } from './kit.mjs'

const most = 300 * 1024

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, token: { type: 'string' }, to: { type: 'string', default: join(import.meta.dirname, '../../../docs/images') }, chromium: { type: 'string', default: '/usr/bin/chromium' } },
})
if (!options.url) {
  console.error('say where the server is: --url http://127.0.0.1:8080')
  process.exit(2)
}
const { api, test, visit, counts, close } = await open({ url: options.url.replace(/\/$/, ''), token: options.token, executable: options.chromium })
mkdirSync(options.to, { recursive: true })
const card = await api('/v1/scorecard')
const { kpis } = await api('/v1/kpis')
const regional = (row) => kpis.find((k) => k.id === row.kpi)?.dimensions.some((d) => d.to === 'regions')
// The percentage by regions of which there are most cases.
const shown = card.rows.filter((r) => r.cell?.state === 'value' && r.unit === 'percent' && r.basis === 'events' && regional(r)).toSorted((a, b) => (b.cell.cases ?? 0) - (a.cell.cases ?? 0))[0]
must(shown, 'the server has no figure to show: load data first')
const year = `from=${card.from}&to=${card.to}`

// What an analyst asks: how many decisions were automatic, and how many of the rows are simulated.
async function ask(page) {
  const statement = ['SELECT', '    toStartOfMonth(time) AS month,', '    count() AS requests,', "    countIf(processing = 'automatic') AS automatic,", '    countIf(_simulated) AS simulated', 'FROM request_decided_v1', 'GROUP BY month', 'ORDER BY month'].join('\n')
  await page.locator('.wb-editor .cm-content').click()
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText(statement)
  await page.waitForTimeout(500) // what could stand next is offered
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+Enter')
  await page.waitForSelector('.wb-body [role=gridcell]')
}

const pictures = [
  ['scorecard', '/', { width: 1440, height: 1000 }],
  ['monday', '/monday', { width: 1440, height: 900 }],
  ['kpi', `/kpis/${shown.kpi}?${year}`, { width: 1280, height: 1640 }],
  ['promises', '/promises', { width: 1280, height: 900 }],
  ['workbench', '/workbench', { width: 1280, height: 900 }, ask],
  ['scorecard-phone', '/', { width: 390, height: 844 }],
]
for (const [name, path, size, before] of pictures) {
  await test(name, () =>
    visit(`${path}${path.includes('?') ? '&' : '?'}lang=en`, { ...size, ignore: /inline style/ }, async (page) => {
      await before?.(page)
      must(/simulated/i.test(await page.locator('main').innerText()), 'it does not say that its data are simulated')
      const file = join(options.to, name + '.png')
      await page.screenshot({ path: file })
      const { size: bytes } = statSync(file)
      must(bytes <= most, `${(bytes / 1024).toFixed(0)} KB, at most ${most / 1024} are kept`)
    }))
}
await close()
process.exit(counts.failed ? 1 : 0)
