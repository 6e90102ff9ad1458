// Data quality, and the day of somebody of the center: from a silent source to its project, a
// figure's gap and the letter that asks for the report.
import { accessible, must, settled } from './kit.mjs'

export default async function ({ url, headers, api, test, visit, everywhere, tabs, labels }) {
  const status = await api('/v1/status')
  const findings = (await api('/v1/quality/findings')).findings

  await everywhere('quality', '/quality')
  await tabs('quality', '/quality', ['findings', 'gaps', 'quarantine', 'contracts'], 'uz')

  await test('every expected source stands in the list once, and every finding is counted', () =>
    visit('/quality?lang=en', {}, async (page) => {
      const expected = status.sources.filter((s) => !(s.source.startsWith('simulation/') && status.sources.some((o) => `simulation/${o.source}` === s.source)))
      const rows = await page.locator('table.data tbody tr').count()
      must(rows === expected.length, `${rows} rows, ${expected.length} sources`)
      if (findings.length) await page.locator('[role=tab]', { hasText: `Findings (${findings.length.toLocaleString('en-GB')})` }).waitFor()
    }))

  const catalogue = labels.pack === 'uz'
  if (catalogue) {
    await test('an event that is kept aside is shown, refused without a reason, and dismissed with one', async () => {
      const id = `browser-${Date.now()}`
      const answer = await fetch(`${url}/v1/events`, {
        method: 'POST', headers: { ...headers, 'Content-Type': 'application/cloudevents+json' },
        body: JSON.stringify({ specversion: '1.0', id, source: 'catalogue', type: 'uz.gov.service.changed.v1', time: '2024-01-01T00:00:00+05:00', simulated: true, data: { service: `none-${id}`, active: true, electronic: true } }),
      })
      const { quarantined } = await answer.json()
      must(quarantined?.[0]?.entry, 'the door did not keep the event aside')
      for (const [lang, said] of [['uz', 'jadvalida'], ['ru', 'В таблице']]) {
        await visit(`/quality?lang=${lang}&tab=quarantine&source=catalogue`, {}, async (page) => {
          const row = page.locator('tr', { has: page.locator(`button[aria-label*="${quarantined[0].entry}"]`) })
          must((await row.innerText()).includes(said), `what is wrong is not said in ${lang}: ${await row.innerText()}`)
        })
      }
      await visit('/quality?lang=en&tab=quarantine&source=catalogue', {}, async (page) => {
        await page.locator(`button[aria-label*="${quarantined[0].entry}"]`).click()
        const dialog = page.locator('dialog[open]')
        await dialog.locator('pre').waitFor()
        must((await dialog.locator('pre').innerText()).includes(`none-${id}`), 'the content is not shown')
        await accessible(page)
        await dialog.locator('button', { hasText: 'Dismiss' }).click()
        must(/Say why/.test(await dialog.locator('.outcome').innerText()), await dialog.locator('.outcome').innerText())
        await dialog.locator('label', { hasText: 'Why' }).locator('xpath=following-sibling::input').fill('made by a test')
        await dialog.locator('button', { hasText: 'Dismiss' }).click()
        await dialog.locator('.outcome', { hasText: 'Dismissed' }).waitFor()
        const entry = await api(`/v1/quarantine/${quarantined[0].entry}`)
        must(entry.state === 'dismissed' && entry.note === 'made by a test', JSON.stringify({ state: entry.state, note: entry.note }))
      })
    })
  }

  const behind = status.sources.find((s) => s.late && s.promise_seconds > 0)
  if (behind) {
    for (const [screen, width, height] of [['laptop', 1440, 900], ['phone', 360, 780]]) {
      await test(`a day at the center, ${screen}: quality, project, figure and its gap, letter`, () =>
        visit('/quality?lang=en', { width, height }, async (page) => {
          await page.locator('main').waitFor()
          const projects = page.locator('nav a[href^="/projects"]').first()
          if (await projects.isVisible()) await projects.click()
          else await page.goto(`${url}/projects?lang=en`) // on a phone the sections stand behind a button
          await page.waitForURL('**/projects*')
          await settled(page)
          await page.locator('.findings a.name').first().waitFor()
          await page.locator('.findings a.name').first().click()
          await page.waitForURL('**/projects/*')
          await settled(page)
          const served = page.locator('.promise-head a.name').first()
          const targets = await api('/v1/targets')
          const kpi = targets.targets.find((t) => t.kind === 'target').kpi
          if (await served.count()) await served.click()
          else await page.goto(`${url}/kpis/${kpi}?lang=en`)
          await page.waitForURL('**/kpis/*')
          await settled(page)
          await page.goto(`${url}/kpis/${kpi}?lang=en`)
          await settled(page)
          must((await page.locator('main').innerText()).includes('Target'), 'the page of a figure with a target does not tell it')
          await page.goto(`${url}/quality?lang=en&tab=findings`)
          await settled(page)
          await page.locator('button', { hasText: 'Ask for the report' }).first().click()
          const text = page.locator('dialog[open] textarea')
          await text.waitFor()
          must((await text.inputValue()).length > 100, 'the letter is empty')
          await accessible(page)
          await page.locator('dialog[open] select').selectOption('ru')
          await page.waitForFunction(() => /[а-я]{4}/.test(document.querySelector('dialog[open] textarea')?.value ?? ''))
          await page.keyboard.press('Escape')
          await page.waitForSelector('dialog[open]', { state: 'detached' })
        }))
    }
  }
}
