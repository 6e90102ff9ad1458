// The page of one KPI: its figure, line, places, reasons and files, in three languages, on a
// laptop and a phone, by mouse and by keyboard alone.
import { readFileSync } from 'node:fs'
import { accessible, fits, must, settled, sizes, tabTo } from './kit.mjs'

export default async function ({ api, test, visit, everywhere, labels, url, headers }) {
  const card = await api('/v1/scorecard')
  const told = card.rows.filter((r) => r.cell?.state === 'value' && r.basis === 'events' && r.unit === 'percent')
  const all = (await api('/v1/kpis')).kpis
  const definitionOf = (id) => all.find((k) => k.id === id)
  const row = told.find((r) => definitionOf(r.kpi).dimensions.some((d) => d.to === 'regions')) ?? told[0] ?? card.rows.find((r) => r.cell?.state === 'value')
  must(row, 'the server has no figure to look at: load data first')
  const kpi = definitionOf(row.kpi)
  const days = card.from && card.to ? `from=${card.from}&to=${card.to}` : ''
  const path = `/kpis/${kpi.id}?${days}`
  const regions = (await api('/v1/regions').catch(() => null)) ?? { columns: [], rows: [] }
  const mapped = kpi.dimensions.some((d) => d.to === 'regions') && regions.columns.some((c) => c.startsWith('map_'))

  // No figure of the page may be other than the API's: the value, every bar, every point.
  const shown = (v) => v.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 })

  await everywhere('kpi', path, {}, (page) => page.waitForSelector('.chart svg'))

  const targeted = card.rows.find((r) => r.cell?.state === 'value' && r.targets.some((t) => t.kind === 'target'))
  if (targeted) {
    await everywhere('kpi-target', `/kpis/${targeted.kpi}?${days}`, {}, async (page) => {
      await page.waitForSelector('.chart svg')
      must((await page.locator('.target-bar').count()) === 1, 'the target is not drawn beside the figure')
    })
  }

  if (row.unit === 'percent') {
    await test('KPI: the same figures on the page and in the API', () =>
      visit(`${path}&lang=en&show=table`, {}, async (page) => {
        const whole = await api(`/v1/kpis/${kpi.id}/values?${days}`)
        must((await page.locator('.huge .figure').innerText()).startsWith(shown(whole.cells[0].value)), 'the figure is another one')
        const months = await api(`/v1/kpis/${kpi.id}/values?${days}&grain=month`)
        const points = await page.locator('section[aria-labelledby="over-time"] tbody tr td:nth-child(2)').allInnerTexts()
        const wanted = months.cells.map((c) => (c.value === null ? undefined : shown(c.value)))
        must(points.length === wanted.length && wanted.every((w, i) => w === undefined || points[i].startsWith(w)), `the line is ${points.join(' ')}, the API says ${wanted.join(' ')}`)
        if (!mapped) return
        const by = kpi.dimensions.find((d) => d.to === 'regions').name
        const parts = await api(`/v1/kpis/${kpi.id}/values?${days}&by=${by}`)
        const bars = await page.locator('.bars tbody tr:not(.whole) td:nth-child(2)').allInnerTexts()
        const values = parts.cells.filter((c) => c.value !== null).map((c) => c.value).sort((a, b) => b - a).map(shown)
        must(values.every((v, i) => bars[i].startsWith(v)), `the bars are ${bars.join(' ')}, the API says ${values.join(' ')}`)
      }))
  }

  if (mapped) {
    await test('KPI: every region of the pack has its place on the map, and a click leads into it', () =>
      visit(`${path}&lang=en`, {}, async (page) => {
        const column = regions.columns.find((c) => c.startsWith('map_'))
        const by = kpi.dimensions.find((d) => d.to === 'regions').name
        const parts = (await api(`/v1/kpis/${kpi.id}/values?${days}&by=${by}`)).cells.map((c) => c[by])
        const codes = regions.rows.filter((r) => r.values[column] && parts.includes(r.code)).map((r) => r.code)
        must((await page.locator('.map [data-code]').count()) === codes.length, 'a region is not on the map')
        must((await page.locator('.map .place:not(.elsewhere)').count()) === regions.rows.filter((r) => r.values[column]).length, 'a region of the pack has no place on the map')
        must((await page.locator('.map figcaption a').innerText()).includes('CC BY 4.0'), 'the map does not say whose it is')
        const place = page.locator('.map [data-code]').nth(codes.length - 1)
        const name = (await place.getAttribute('aria-label')).split(':')[0]
        await place.hover({ force: true })
        must((await page.locator('.bars tr.hot').innerText()).startsWith(name), 'the bar of the place that is pointed at does not show')
        await place.focus()
        await page.keyboard.press('Enter')
        await page.waitForSelector('nav ol b[aria-current="page"]')
        await settled(page)
        must(new URL(page.url()).searchParams.get('where')?.startsWith(by + '='), 'the path is not in the address')
        must((await page.locator('h1').innerText()).includes(name), 'the title does not say the part')
        must(await page.evaluate(() => document.activeElement?.getAttribute('aria-current') === 'page'), 'the focus is lost on the way into a part')
        must((await page.locator('nav ol b[aria-current="page"]').innerText()).includes(name), 'the path does not say the part')
        await page.locator('.bars tbody a').first().click()
        await page.waitForFunction(() => document.querySelectorAll('nav ol.chips > li').length === 3)
        await page.goBack()
        await page.waitForFunction(() => document.querySelectorAll('nav ol.chips > li').length === 2)
        await settled(page)
        await accessible(page)
        await page.locator('nav ol.chips a').first().click()
        await page.waitForSelector('nav ol.chips', { state: 'detached' })
      }))

    await test('KPI: map, heat map and table by keyboard alone', () =>
      visit(`${path}&lang=en`, {}, async (page) => {
        const first = page.locator('.map [data-code][tabindex="0"]')
        await tabTo(page, first)
        const before = await first.getAttribute('data-code')
        await page.keyboard.press('ArrowRight')
        must((await page.evaluate(() => document.activeElement.getAttribute('data-code'))) !== before, 'the arrow key stays where it was')
        const region = page.locator('section[aria-labelledby="where"]')
        for (const [view, selector] of [['Heat map', '.heat'], ['Table', 'table.data'], ['Bars', '.bars']]) {
          const button = region.getByRole('button', { name: view, exact: true })
          await button.focus()
          await page.keyboard.press('Enter')
          await region.locator(selector).waitFor()
          await settled(page)
          if (view !== 'Bars') await accessible(page) // bars stand beside the map
        }
      }))
  }

  await test('KPI: by keyboard alone: search, open, from point to point, table', () =>
    visit('/?lang=en', {}, async (page) => {
      await page.keyboard.press('/')
      await page.keyboard.type(kpi.id)
      await page.waitForSelector('[role=option]')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/kpis/${kpi.id}*`)
      await settled(page)
      const line = page.locator('.line-chart')
      await tabTo(page, line)
      await page.keyboard.press('End')
      const spoken = await line.locator('[aria-live]').innerText()
      must(/%|\d/.test(spoken), `the point is not said: ${spoken}`)
      const table = page.locator('button[aria-pressed]', { hasText: 'Table' }).first()
      await table.focus()
      must((await table.evaluate((b) => getComputedStyle(b).outlineStyle)) !== 'none', 'focus is not visible')
      await page.keyboard.press('Enter')
      await page.waitForSelector('table.plain')
      await accessible(page)
    }))

  await test('KPI: one page, for what is read, taken along, answered and copied there', () =>
    visit(`${path}&lang=en`, {}, async (page) => {
      await test('KPI: pictures and data to take along', async () => {
        const take = async (name) => {
          const [download] = await Promise.all([page.waitForEvent('download'), page.locator('[role=group][aria-label="Save as"]').first().getByRole(name.length === 3 && name !== 'CSV' ? 'button' : 'link', { name, exact: true }).click()])
          return readFileSync(await download.path())
        }
        const svg = (await take('SVG')).toString('utf8')
        must(svg.startsWith('<svg') && svg.includes(await page.locator('h1').innerText().then((t) => t.split(':')[0])) && svg.includes('Data through'), 'the picture does not say what it shows')
        const png = await take('PNG')
        must(png.subarray(1, 4).toString() === 'PNG' && png.readUInt32BE(16) === 2400, 'the picture is no PNG of 2,400 pixels')
        for (const format of ['csv', 'xlsx']) {
          const href = await page.locator(`[role=group][aria-label="Save as"] a[href*="format=${format}"]`).first().getAttribute('href')
          const response = await fetch(url + href, { headers })
          must(response.ok && (await response.arrayBuffer()).byteLength > 200, `${format}: ${response.status}`)
        }
      })
      await test('KPI: prints to one page', async () => {
        const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1')
        const pages = pdf.match(/\/Type\s*\/Page[^s]/g)?.length
        must(pages === 1, `${pages} pages`)
      })
      if (row.unit === 'percent') {
        await test('KPI: parts of the change add up as they are written', async () => {
          const rows = page.locator('.waterfall tr:not(.end) td.number')
          if ((await rows.count()) === 0) return // nothing is known of an earlier period
          const numbers = (await rows.allInnerTexts()).map((t) => Math.round(100 * Number(t.replace('−', '-').replace(/[+,]/g, ''))))
          const total = numbers.pop()
          must(numbers.reduce((a, b) => a + b, 0) === total, `${numbers.join(' + ')} is not ${total}`)
        })
        await test('KPI: the query behind the figure', async () => {
          await page.locator('summary', { hasText: 'See the rows' }).click()
          must(/SELECT/.test(await page.locator('details pre').innerText()), 'there is no query')
          await accessible(page)
        })
        await test('KPI: the owner answers, and the answer stands beside the figure', async () => {
          const open = page.getByRole('button', { name: 'Answer for this figure or dispute it' })
          if ((await open.count()) === 0) return // who looks may not
          await open.click()
          await page.getByLabel('say that it is not right').check()
          await page.locator('textarea').fill('A test of the page disputes this figure.')
          await accessible(page)
          await page.getByRole('button', { name: 'Give the reply' }).click()
          await page.locator('a[href="#replies"]', { hasText: 'Disputed' }).waitFor()
          must((await page.locator('.sentence').innerText()).includes('Disputed by'), 'the sentence does not say that the figure is disputed')
          const size = page.viewportSize()
          await page.setViewportSize({ width: 320, height: 780 })
          await fits(page)
          await page.setViewportSize(size)
          await page.getByRole('button', { name: 'Take back' }).first().click()
          await page.locator('a[href="#replies"]', { hasText: 'Disputed' }).waitFor({ state: 'detached' })
        })
      }
      await test('KPI: sentences in three languages, and an address that stays', async () => {
        const clipboard = () => page.evaluate(() => navigator.clipboard.readText())
        for (const [language, words] of [['ru', /Данные по/], ['uz', /Maʼlumotlar/], ['en', /Data through/]]) {
          await page.locator(`[role=group] button[lang=${language}]`).last().click()
          await page.waitForFunction((l) => [...document.querySelectorAll(`button[lang=${l}]`)].some((b) => b.textContent.startsWith('✓')), language)
          must(words.test(await clipboard()), await clipboard())
        }
        await page.getByRole('button', { name: 'Copy permanent address' }).click()
        await page.waitForFunction(() => /^✓/.test([...document.querySelectorAll('button')].find((b) => b.textContent.includes('permanent'))?.textContent ?? ''))
        const kept = new URL(await clipboard())
        must(/^\d{4}-\d{2}-\d{2}$/.test(kept.searchParams.get('known_on') ?? ''), `nothing is known on a day at ${kept}`)
        const before = await page.locator('.huge .figure').innerText()
        kept.searchParams.set('lang', 'en') // who opens it reads it in their own language
        await page.goto(kept.href)
        await settled(page)
        await page.waitForFunction((figure) => document.querySelector('.huge .figure')?.innerText === figure, before).catch(async () => {
          throw new Error(`the permanent address shows another figure: ${await page.locator('.huge .figure').innerText()}, not ${before}`)
        })
        const notice = await page.locator('p.notice', { hasText: 'as they were known' }).innerText()
        const today = new Intl.DateTimeFormat('en-CA', { timeZone: labels.zone }).format(new Date())
        must(kept.searchParams.get('known_on') < today || notice.includes('not over'), `of a day that is not over it says: ${notice}`)
      })
    }))

  await test('KPI: a period without a figure says who can change that, and shows no empty table', () =>
    visit(`/kpis/${kpi.id}?lang=en&from=1999-01-01&to=1999-12-31`, { quiet: false }, async (page) => {
      const told = page.locator('section[aria-labelledby="over-time"] .empty')
      must((await told.innerText()).includes(kpi.owner_names.en ?? kpi.owner), await told.innerText())
      must((await page.locator('table:not(:has(tbody tr))').count()) === 0, 'a table has a head and no row')
      await accessible(page)
      await told.getByRole('link').click()
      await page.waitForSelector('.chart svg')
    }))

  await test('KPI: nothing is wider than a phone, whatever is opened', () =>
    visit(`${path}&lang=ru&view=heat`, { width: sizes.phone[0], height: sizes.phone[1] }, accessible))

  await test('KPI: a bad parameter says what is allowed', () =>
    visit(`/kpis/${kpi.id}?lang=en&grain=fortnight&compare=never&version=99&view=pie&from=2024-13-45&colour=red`, {}, async (page) => {
      const told = (await page.locator('main .notice').allInnerTexts()).join('\n')
      const missing = ['grain=fortnight', 'months', 'compare=never', 'year', 'version=99', 'version 1', 'view=pie', 'Bars', 'from=2024-13-45', '2024-12-31', '“colour=red”', 'known_on'].filter((word) => !told.includes(word))
      must(missing.length === 0, `not told: ${missing.join(', ')}: ${told}`)
      await accessible(page)
      await page.locator('.notice a', { hasText: 'months' }).click()
      await page.waitForFunction(() => location.search.includes('grain=month'))
      await page.locator('.unread a').click()
      await page.waitForSelector('.unread', { state: 'detached' })
      must(!page.url().includes('13-45') && !page.url().includes('&colour='), page.url())
    }))
}
