// Services, agencies and regions: what the catalogue knew on a day, search in any script,
// and a place beside the nation.
import { accessible, fits, must, settled } from './kit.mjs'

export default async function ({ url, headers, api, test, visit, everywhere, labels }) {
  const now = await api('/v1/services')
  must(now.rows.length > 0, 'the server has no catalogue of services')
  const past = await api('/v1/services?on=2024-06-30')
  const service = past.rows.find((r) => r.names.uz?.includes('ʻ')) ?? past.rows[0]
  const regions = labels.tables.includes('regions') ? (await api('/v1/regions')).rows : []
  const organisations = (await api('/v1/organisations')).rows
  const name = (row) => row.names.en ?? Object.values(row.names)[0]

  await everywhere('services', '/services?on=2024-06-30')
  await everywhere('service', `/services/${service.code}`)
  await everywhere('agencies', '/agencies')
  await everywhere('agency', `/agencies/${service.values.agency ?? organisations[0].code}`)
  if (regions.length) {
    await everywhere('regions', '/regions')
    await everywhere('region', `/regions/${regions[0].code}`)
  }

  await test('the catalogue is that of the day in the address', () =>
    visit('/services?lang=en&on=2024-06-30', {}, async (page) => {
      const title = await page.locator('h1').innerText()
      must(title.startsWith(past.rows.length.toLocaleString('en-GB')) && title.includes('30 June 2024'), title)
      await page.locator('.page-head input[type=date]').fill('2020-01-01')
      await page.waitForFunction(() => location.search.includes('on=2020-01-01'))
      await settled(page)
      const earlier = await api('/v1/services?on=2020-01-01')
      must((await page.locator('h1').innerText()).startsWith(earlier.rows.length.toLocaleString('en-GB')), await page.locator('h1').innerText())
      await accessible(page)
    }))

  await test('search forgives apostrophes, and narrows by what a service is', () =>
    visit('/services?lang=en&on=2024-06-30', {}, async (page) => {
      const written = (service.names.uz ?? name(service)).replaceAll('ʻ', '’')
      await page.locator('.facets input[type=search]').fill(written)
      await page.waitForSelector(`a.name[href*="/services/${service.code}?"]`)
      must(new URL(page.url()).searchParams.get('q') === written, 'what is sought is not in the address')
      await page.locator('.facets > button').click()
      await page.waitForFunction(() => !location.search.includes('q='))
      const answer = page.locator('.facets .answers button').first()
      const count = Number((await answer.locator('.count').innerText()).replace(/\D/g, ''))
      await answer.click()
      await page.waitForFunction(() => location.search.includes('where='))
      must((await page.locator('h1').innerText()).startsWith(count.toLocaleString('en-GB')), `${count}, but ${await page.locator('h1').innerText()}`)
      await accessible(page)
    }))

  if (regions.length) {
    await test('a region beside the nation shows the figures of the API, and leads to the KPI', async () => {
      const region = regions[0]
      const [here, nation] = [await api(`/v1/scorecard?where=${encodeURIComponent(`region=${region.code}`)}`), await api('/v1/scorecard')]
      const row = here.rows.find((r) => r.unit === 'percent' && r.cell?.state === 'value')
      must(row, 'no share is known of the region')
      const share = (v) => v.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
      await visit(`/regions/${region.code}?lang=en`, {}, async (page) => {
        const link = page.locator(`.against a.name[href*="/kpis/${row.kpi}?"]`).first()
        const figures = await link.locator('xpath=ancestor::tr').locator('td.number .figure').allInnerTexts()
        const whole = nation.rows.find((r) => r.kpi === row.kpi).cell.value
        must(figures[0].startsWith(share(row.cell.value)) && figures[1].startsWith(share(whole)), `${row.kpi}: ${figures.join(' | ')}, API ${share(row.cell.value)} | ${share(whole)}`)
        await link.click()
        await page.waitForURL(`**/kpis/${row.kpi}*`)
        await settled(page)
        must(new URL(page.url()).searchParams.getAll('where').includes(`region=${region.code}`), 'the region is lost on the way')
      })
    })
    await test('by keyboard alone: from the ranking to a region', () =>
      visit('/regions?lang=en', {}, async (page) => {
        const link = page.locator('.bars tbody a').first()
        await link.focus()
        await page.keyboard.press('Enter')
        await page.waitForURL('**/regions/*')
        await settled(page)
      }))
  }

  await test('who sees the rows of one agency meets no refusal: what is of others is absent', async () => {
    const ask = (path, as, request = {}) => fetch(url + path, { ...request, headers: { ...as, 'Content-Type': 'application/json' } })
    const other = organisations.find((o) => o.code !== service.values.agency).code
    const key = await (await ask('/v1/keys', headers, { method: 'POST', body: JSON.stringify({ name: 'browser test', roles: ['agency'], agency: service.values.agency }) })).json()
    const as = { Authorization: `Bearer ${key.key}` }
    try {
      let total // a figure that does not say whose its rows are
      for (const { id, dimensions } of (await api('/v1/kpis')).kpis) {
        if (!dimensions.length || dimensions.some((d) => d.to === 'organisations')) continue
        if ((await ask(`/v1/kpis/${id}/values?by=${dimensions[0].name}`, as)).status !== 400) continue
        total = id
        break
      }
      must(total, 'every figure says whose its rows are')
      for (const [path, refused] of [[`/kpis/${total}`, /\/(gap|why)\b/], [`/agencies/${other}`, new RegExp(`(where=|agency=).*${other}`)]]) {
        const asked = []
        await visit(`${path}?lang=en`, { as, quiet: false }, async (page) => {
          page.on('request', (request) => refused.test(request.url()) && asked.push(request.url()))
          await page.reload()
          await settled(page)
          must((await page.locator('.failure').count()) === 0, `${path}: ${await page.locator('.failure').allInnerTexts()}`)
          must(asked.length === 0, `${path} asks in vain for ${asked.join(' ')}`)
          await accessible(page)
        })
      }
      const own = (await api('/v1/status')).sources.filter((s) => s.owner === service.values.agency && !s.source.startsWith('simulation/'))
      await visit('/quality?lang=en', { as }, async (page) => {
        const rows = await page.locator('main table').first().locator('tbody tr').count()
        must(rows === own.length, `${rows} sources, and ${own.length} are of the agency`)
      })
      await visit('/agencies?lang=en', { as }, async (page) => {
        await page.locator('.ranking').waitFor()
        const others = await page.locator('.ranking a').evaluateAll((links, mine) => links.map((a) => decodeURIComponent(new URL(a.href).pathname.split('/').pop())).filter((code) => code !== mine), service.values.agency)
        must(others.length === 0, `something is said of ${others.slice(0, 3)}`)
        const kpi = new URL(await page.locator('section[aria-labelledby=ranked] .caption a').last().getAttribute('href'), url)
        const [cell] = (await api(`/v1${kpi.pathname}/values?${new URLSearchParams([...kpi.searchParams].filter(([name]) => name === 'from' || name === 'to'))}`)).cells
        const whole = page.locator('.bars tr', { hasText: 'whole' }).locator('td').first()
        if (cell.value !== null && (await whole.count())) must((await whole.innerText()).startsWith(cell.value.toFixed(1)), `the whole is ${await whole.innerText()}, the nation's figure ${cell.value}`)
      })
      const { may } = await (await ask('/v1/me', as)).json()
      await visit('/workbench?lang=en', { as }, async (page) => {
        must((await page.getByRole('button', { name: 'Estimate' }).count()) === (may.includes('POST /v1/workbench/estimates') ? 1 : 0), 'a button that its role may not use')
      })
    } finally {
      await ask(`/v1/keys/${key.id}`, headers, { method: 'DELETE' })
    }
  })

  await test('a name of one long word stays within a phone', () =>
    visit('/settings?lang=en', { width: 360, height: 780 }, async (page) => {
      const long = 'A'.repeat(63)
      await page.route('**/v1/organisations', async (route) => {
        const answer = await (await route.fetch()).json()
        for (const row of answer.rows) row.names = { en: long }
        await route.fulfill({ json: answer })
      })
      for (const path of ['/agencies', `/agencies/${organisations[0].code}`]) {
        await page.goto(`${url}${path}?lang=en`)
        await settled(page)
        await page.locator('main', { hasText: long }).waitFor()
        await fits(page)
      }
    }))

  await test('a place that is not there says so', async () => {
    await visit('/agencies/no-such-agency?lang=en', {}, accessible)
    await visit('/services/no-such-service?lang=en', { quiet: false }, async (page) => {
      await page.locator('.empty a[href^="/services"]').waitFor()
      await accessible(page)
    })
  })
}
