// New data appear on pages that are open, without a reload. It comes last, for it changes what
// others read: it sends events through the door, of the moment of the newest.
import { must, settled } from './kit.mjs'

export default async function ({ url, headers, api, test, visit }) {
  // Only figures whose events come are asked for again.
  const { kpis } = await api('/v1/kpis')
  const reading = (c) => kpis.find((k) => k.versions.some((v) => v.from.includes(c.name)))
  const contract = (await api('/v1/contracts')).contracts.find((c) => c.kind === 'event' && reading(c) && c.fields.some((f) => f.required) && c.fields.every((f) => !f.required || ((f.type === 'text' || f.type === 'enum') && !f.to)))
  must(contract, 'the pack has no contract that a figure reads and whose required fields are texts and listed values alone')
  const kpi = reading(contract)

  // send puts an event through the door that has what its contract requires and nothing else.
  const send = async () => {
    const id = `live-${Math.random().toString(36).slice(2)}`
    const data = Object.fromEntries(contract.fields.filter((f) => f.required).map((f) => [f.name, f.type === 'enum' ? f.values[0] : id]))
    const event = { specversion: '1.0', id, type: contract.type, source: `simulation/${contract.source}`, time: (await api('/v1/scorecard')).data_through, simulated: true, data }
    const answer = await fetch(`${url}/v1/events`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/cloudevents+json' }, body: JSON.stringify(event) })
    must(answer.ok, `the door says ${answer.status}: ${await answer.text()}`)
  }

  for (const [name, path, asks] of [['scorecard', '/', '/v1/scorecard'], ['a KPI', `/kpis/${kpi.id}`, `/v1/kpis/${kpi.id}/values`], ['projects', '/projects', '/v1/projects'], ['quality', '/quality', '/v1/status']]) {
    await test(`new data reach the open page of ${name} without a reload`, () =>
      visit(`${path}?lang=en`, {}, async (page) => {
        await page.evaluate(() => (globalThis.stays = true))
        const again = page.waitForResponse((r) => new URL(r.url()).pathname === asks && [200, 304].includes(r.status()), { timeout: 60_000 })
        await send()
        await again
        await settled(page)
        must(await page.evaluate(() => globalThis.stays === true), 'the page was loaded again')
      }))
  }
}
