// The workbench: an analyst's day. Statements run on the server's own views.
import { readFileSync } from 'node:fs'
import { accessible, must, settled, tabTo } from './kit.mjs'

// Chromium keeps the look of what is typed over in a style attribute, which the page's policy
// refuses; the editor draws its own.
const ignore = /Applying inline style/

export default async function ({ api, languages, test, visit, everywhere }) {
  const schema = await api('/v1/workbench/schema')
  const table = schema.tables.find((t) => !t.name.endsWith('_ledger') && t.columns.length > 3)
  must(table, 'the analysts have no view')

  const content = (page) => page.locator('.wb-editor .cm-content')
  const write = async (page, sql) => {
    await content(page).click()
    await page.keyboard.press('Control+a')
    await page.keyboard.insertText(sql)
  }
  const run = async (page, sql) => {
    await write(page, sql)
    await page.keyboard.press('Control+Enter')
  }
  const numbers = 'SELECT number, toString(number) AS name FROM numbers({n:UInt32})'

  await everywhere('workbench', '/workbench', { ignore }, async (page) => {
    await page.waitForSelector('.wb-tables summary')
    await run(page, 'SELECT number AS n, number * number AS square FROM numbers(40)')
    await page.waitForSelector('.wb-body [role=gridcell]')
  })

  await test('an analyst writes with completion, by keyboard alone, and reads the rows', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      await tabTo(page, page.locator('.wb-editor'), 40) // before the tables, each of which is a stop
      await page.keyboard.press('Control+a')
      await page.keyboard.type(`select count() as events from ${table.name.slice(0, -2)}`)
      await page.waitForSelector('.wb-editor .cm-tooltip-autocomplete li')
      await page.waitForFunction((name) => document.querySelector('.wb-editor').shadowRoot.querySelector('.cm-tooltip-autocomplete li[aria-selected]')?.textContent.startsWith(name), table.name)
      await page.waitForTimeout(100) // the list takes no key in its first moment
      await page.keyboard.press('Enter')
      await page.keyboard.press('Control+Enter')
      await page.waitForSelector('.wb-body [role=gridcell]')
      must((await page.locator('.wb-head').innerText()).includes('events'), 'the column is not there')
      await accessible(page)
    }))

  await test('a parameter is asked for, a large result is virtual and is taken along whole', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      await write(page, numbers)
      await page.keyboard.press('Control+Enter')
      await page.locator('main .problem', { hasText: 'a value for n' }).waitFor()
      await page.locator('#place-n:focus').fill('5000')
      await content(page).click()
      await page.keyboard.press('Control+Enter')
      await page.locator('.wb-state', { hasText: '5,000 rows' }).waitFor()
      const drawn = await page.locator('.wb-body [role=row]').count()
      must(drawn < 200, `${drawn} rows are in the document`)
      await page.locator('.wb-grid').focus()
      await page.keyboard.press('Control+End')
      await page.locator('.wb-body', { hasText: '4999' }).waitFor()
      const [download] = await Promise.all([page.waitForEvent('download'), page.locator('.wb-take a', { hasText: 'CSV' }).click()])
      const lines = readFileSync(await download.path(), 'utf8').trim().split('\n')
      must(lines.length === 5001, `the file has ${lines.length} lines`)
      must(/internal/.test(download.suggestedFilename()), `the file is called ${download.suggestedFilename()}`)
      await page.getByRole('tab', { name: 'Chart' }).click()
      await page.waitForSelector('.wb-drawn svg')
      await accessible(page)
    }))

  await test('what is typed stays in the editor, and formatting changes no word of it', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      const typed = "select 6/2 as kind, 'who?' as n group by kind order by n"
      await write(page, '')
      await page.keyboard.type(typed)
      const words = async () => (await content(page).innerText()).replace(/\s+/g, '')
      must(await words() === typed.replace(/\s+/g, ''), `the editor has ${await words()}`)
      must(new URL(page.url()).pathname === '/workbench', `typing led to ${page.url()}`)
      await page.locator('.wb-bar button', { hasText: 'Format' }).click()
      await page.waitForFunction(() => document.querySelector('.wb-editor').shadowRoot.querySelectorAll('.cm-line').length > 1)
      must(await words() === typed.replace(/\s+/g, ''), `formatted it is ${await words()}`)
    }))

  await test('a result that was cut says so', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      await run(page, 'SELECT number FROM numbers(20000)')
      await page.locator('.wb-state', { hasText: 'Cut' }).waitFor()
    }))

  await test('a long statement shows how far it is, and is cancelled', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      await run(page, 'SELECT sum(sipHash64(sipHash64(sipHash64(number)))) FROM numbers(1900000000)')
      await page.waitForSelector('.wb-state progress')
      await page.locator('.wb-bar button', { hasText: 'Cancel' }).click()
      await page.locator('.wb-state', { hasText: 'Cancelled' }).waitFor()
      must((await page.locator('.failure').count()) === 0, 'what was cancelled is told as a failure')
      await page.getByRole('tab', { name: 'History' }).click()
      await page.locator('table.data', { hasText: '1900000000' }).waitFor()
    }))

  await test('a saved query that is not there is told, in each language, and what runs is not its', async () => {
    for (const lang of languages) {
      await visit(`/workbench?lang=${lang}&query=nope`, { quiet: false }, async (page) => {
        const told = page.locator('main .notice', { hasText: 'nope' })
        await told.waitFor()
        if (lang !== languages[0]) return
        await accessible(page)
        await run(page, 'SELECT 1 AS one')
        await page.waitForSelector('.wb-body [role=gridcell]')
        await told.getByRole('link').click()
        await told.waitFor({ state: 'detached' })
        must(!page.url().includes('nope'), 'the address still names it')
      })
    }
  })

  await test('what the gate refuses is told in words', () =>
    visit('/workbench?lang=en', { quiet: false }, async (page) => {
      await run(page, "SELECT * FROM url('http://127.0.0.1/x')")
      const told = page.locator('.failure')
      await told.waitFor()
      must(/url/.test(await told.innerText()), await told.innerText())
      await accessible(page)
    }))

  await test('a statement is formatted, estimated, saved, found again and removed', () =>
    visit('/workbench?lang=en', { ignore }, async (page) => {
      const name = `Test ${Date.now() % 1e8}`
      await write(page, 'select (1')
      await page.locator('.wb-bar button', { hasText: 'Format' }).click()
      await page.locator('main .problem', { hasText: 'Not formatted' }).waitFor()
      await write(page, `select count() from ${table.name} where 1=1`)
      await page.locator('.wb-bar button', { hasText: 'Format' }).click()
      await page.waitForFunction(() => document.querySelector('.wb-editor').shadowRoot.querySelectorAll('.cm-line').length > 1)
      await page.locator('.wb-bar button', { hasText: 'Estimate' }).click()
      await page.locator('.wb-note', { hasText: /row/ }).first().waitFor()
      await page.locator('.wb-bar button', { hasText: 'Save' }).click()
      await page.locator('#wb-title').fill(name)
      await page.locator('#wb-sharing').selectOption('everybody')
      await accessible(page)
      await page.locator('.wb-form button[type=submit]').click()
      await page.locator('h1', { hasText: name }).waitFor()
      must(new URL(page.url()).searchParams.has('query'), 'the saved query has no address')
      await page.evaluate(() => sessionStorage.clear()) // as somebody else opens it, whose list of tables comes late
      await page.route('**/v1/workbench/schema', async (route) => {
        await page.locator('h1', { hasText: name }).waitFor()
        await route.continue()
      })
      await page.reload()
      await settled(page)
      await page.locator('h1', { hasText: name }).waitFor()
      must((await content(page).innerText()).includes(table.name), 'the saved statement is not there')
      await page.getByRole('tab', { name: 'Saved queries' }).click()
      await page.getByRole('button', { name: `Remove: ${name}` }).click()
      await page.locator('dialog[open] .group button').click()
      await page.locator('table.data', { hasText: name }).waitFor({ state: 'detached' })
    }))
}
