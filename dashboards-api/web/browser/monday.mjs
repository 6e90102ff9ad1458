// The Monday sheet and the published sentences: what a leader takes to a meeting.
import { accessible, must, settled } from './kit.mjs'

export default async function ({ api, test, visit, everywhere }) {
  const today = new Date().toISOString().slice(0, 10)
  await everywhere('monday', `/monday?since=${today}`)

  await test('the Monday sheet tells five changes of the API, each with its owner, and copies them', () =>
    visit(`/monday?lang=en&since=${today}`, {}, async (page) => {
      const changes = await api(`/v1/changes?since=${today}`)
      must(changes.changes.length > 0, 'nothing has changed in data that came today')
      const names = await page.locator('#five + ol h3').allInnerTexts()
      must(names.length === Math.min(5, changes.changes.length), `${names.length} are told`)
      names.forEach((name, i) => must(name === (changes.changes[i].title.en ?? name), `${i + 1} is ${name}, the API has ${changes.changes[i].title.en}`))
      must((await page.locator('#five + ol b').count()) === names.length, 'a change stands without its owner')
      await page.locator('button', { hasText: 'Copy as text' }).click()
      const text = await page.evaluate(() => navigator.clipboard.readText())
      must(text.split('\n').filter((line) => line.includes('Owner:')).length === names.length, text)
    }))

  await test('on paper the Monday sheet is one page and without buttons', () =>
    visit(`/monday?lang=en&since=${today}`, {}, async (page) => {
      const sheets = (await page.pdf({ format: 'A4' })).toString('latin1').match(/\/Type\s*\/Page\b/g)?.length
      must(sheets === 1, `${sheets} sheets`)
      await page.emulateMedia({ media: 'print' })
      must(!(await page.locator('main button').first().isVisible()), 'a button is printed')
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
