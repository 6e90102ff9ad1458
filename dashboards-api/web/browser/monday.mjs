// The Monday sheet and the published sentences: what a leader takes to a meeting.
import { readFileSync } from 'node:fs'
import { accessible, must, settled } from './kit.mjs'

export default async function ({ api, test, url, headers, visit, everywhere }) {
  const today = new Date().toISOString().slice(0, 10)
  await everywhere('monday', `/monday?since=${today}`)

  await test('the Monday sheet tells five changes of the API, each with its owner, and copies them', () =>
    visit(`/monday?lang=en&since=${today}`, {}, async (page) => {
      const changes = await api(`/v1/changes?since=${today}`)
      must(changes.changes.length > 0, 'nothing has changed in data that came today')
      const names = await page.locator('#five + ol h3').allInnerTexts()
      must(names.length === Math.min(5, changes.changes.length), `${names.length} are told`)
      const titles = changes.changes.map((c) => c.title.en)
      names.forEach((name) => must(titles.includes(name), `${name} is told, and no change of the API`))
      const verdicts = changes.changes.filter((c) => c.targets.some((t) => t.kind === 'target'))
      must(verdicts.slice(0, names.length).every((c) => names.includes(c.title.en)), `a target's verdict is not among ${names}`)
      must((await page.locator('#five + ol b').count()) === names.length, 'a change stands without its owner')
      await page.locator('button', { hasText: 'Copy as text' }).click()
      const text = await page.evaluate(() => navigator.clipboard.readText())
      must(text.split('\n').filter((line) => line.includes('Owner:')).length === names.length, text)
      must(!/\.\.|:[^\n.]*: first value|[^.\n] Owner:/.test(text) && text.includes('ata through'), text)
    }))

  await test('a disputed figure is marked on the Monday sheet, in its text and in the picture of why it changed', async () => {
    const changes = await api(`/v1/changes?since=${today}`)
    const one = changes.changes.find((c) => c.now?.state === 'value' && c.unit === 'percent' && c.now.from && c.now.from !== c.now.to)
    must(one, 'no figure can be disputed')
    const body = { kpi: one.kpi, from: one.now.from, to: one.now.to, state: 'dispute', text: 'A test of the page disputes this figure.', language: 'en' }
    const given = await fetch(`${url}/v1/replies`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    must(given.ok, `${given.status} ${await given.clone().text()}`)
    const { id } = await given.json()
    try {
      await visit(`/monday?lang=en&since=${today}`, {}, async (page) => {
        await page.locator(`main li:has(a[href*="/kpis/${one.kpi}?"]) .disputed`).first().waitFor()
        await accessible(page)
      })
      await visit(`/kpis/${one.kpi}?lang=en&from=${one.now.from}&to=${one.now.to}&against=month`, {}, async (page) => {
        const take = page.locator('section[aria-labelledby=why] button.take')
        await take.scrollIntoViewIfNeeded()
        await take.click()
        const [file] = await Promise.all([page.waitForEvent('download'), page.locator('.popover').getByRole('button', { name: 'SVG', exact: true }).click()])
        must(readFileSync(await file.path(), 'utf8').includes('Disputed by'), 'the picture of why it changed does not say that the figure is disputed')
      })
    } finally {
      await fetch(`${url}/v1/replies/${encodeURIComponent(id)}/withdraw`, { method: 'POST', headers })
    }
  })

  await test('on paper the Monday sheet is one page and without buttons', () =>
    visit(`/monday?lang=en&since=${today}`, {}, async (page) => {
      const sheets = (await page.pdf({ format: 'A4' })).toString('latin1').match(/\/Type\s*\/Page\b/g)?.length
      must(sheets === 1, `${sheets} sheets`)
      await page.emulateMedia({ media: 'print' })
      must(!(await page.locator('main button').first().isVisible()), 'a button is printed')
    }))

  await test('on paper projects and promises are without what only a hand can use', async () => {
    for (const path of ['/projects?lang=ru', '/promises?lang=uz']) {
      await visit(path, {}, async (page) => {
        await page.emulateMedia({ media: 'print' })
        const printed = await page.locator('main :is(button, select, input)').evaluateAll((all) => all.filter((e) => e.checkVisibility() && e.dataset.state !== 'active').map((e) => e.textContent))
        must(printed.length === 0, `${path} prints ${printed.slice(0, 5)}`)
      })
    }
  })

  await test('settings and the Monday sheet agree on when the reader looked', () =>
    visit('/monday?lang=en', {}, async (page) => {
      const first = await page.locator('.summary').innerText()
      await page.goto(`${url}/settings?lang=en`)
      await settled(page)
      const said = await page.locator('main').innerText()
      const [, day] = /looked last on ([^.]+)\./.exec(first) ?? []
      must(said.includes(day ?? 'not looked before today'), `Monday: ${first}; settings: ${said}`)
    }))

  await test('who looks a second day is told what has changed since the first', () =>
    visit('/monday?lang=en', {}, async (page) => {
      await page.evaluate(() => localStorage.setItem('ombor.looked', '2024-05-03'))
      await page.reload()
      await settled(page)
      const said = await page.locator('.summary').innerText()
      must(/3 May 2024|looked last/.test(said), said)
      await accessible(page)
    }))
}
