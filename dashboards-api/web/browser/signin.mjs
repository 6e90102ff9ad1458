// Signing in at a provider and out again, in a real browser:
//
//   node browser/signin.mjs --url http://127.0.0.1:8080 [--chromium /usr/bin/chromium]
//
// The server's provider takes any password of "leader", who may read figures, and of
// "stranger", to whom nobody gave a role. Exit code 1 when anything is not so.
import assert from 'node:assert/strict'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const { values: options } = parseArgs({
  options: { url: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' } },
})
const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'] })

async function signIn(login, path) {
  const context = await browser.newContext({ locale: 'en-GB' })
  const page = await context.newPage()
  await page.goto(options.url + path)
  const enter = page.locator('a[href^="/sign-in?to="]')
  await enter.waitFor()
  await enter.click()
  await page.locator('input[name=login]').fill(login)
  await page.locator('input[name=password]').fill('any')
  await page.locator('button[type=submit]').click()
  await page.locator('button[type=submit]').click() // consent
  await page.waitForURL(options.url + '/**')
  return { context, page }
}

try {
  const { context, page } = await signIn('leader', '/?lang=en&from=2024-01-01&to=2024-12-31')
  await page.getByRole('button', { name: 'You and your settings' }).click()
  await page.locator('text=Leyla Karimova').first().waitFor()
  const address = new URL(page.url())
  assert.equal(address.searchParams.get('from'), '2024-01-01', 'after signing in the reader is not where they were going')
  assert.equal((await context.request.get(options.url + '/v1/scorecard')).status(), 200)
  assert.equal((await context.request.get(options.url + '/v1/audit')).status(), 403, 'a leader reads the audit log')
  assert.equal(await page.evaluate(() => document.cookie), '', 'a script can read the session')
  const elsewhere = await context.newPage() // of the same session
  await elsewhere.goto(options.url + '/kpis?lang=en')
  await elsewhere.locator('.masthead nav a').first().waitFor()
  await page.locator('form[action="/sign-out"] button').click()
  await page.locator('button[name=logout]').click() // the provider asks, too
  await page.locator('a[href^="/sign-in?to="]').waitFor()
  assert.equal((await context.request.get(options.url + '/v1/scorecard')).status(), 401, 'the session outlives signing out')
  await elsewhere.keyboard.press('g') // to another section, where the server says that nobody is signed in
  await elsewhere.keyboard.press('v')
  const back = await elsewhere.locator('main a[href^="/sign-in?to="]').getAttribute('href')
  const { pathname, search } = new URL(elsewhere.url())
  assert.equal(new URL(back, options.url).searchParams.get('to'), pathname + search, 'signing in again does not lead back')
  assert.equal(await elsewhere.locator('.masthead nav').count(), 0, 'the navigation stands there after the session')
  assert.match(await elsewhere.locator('main').innerText(), /session has ended/)
  assert.equal(await elsewhere.evaluate(() => document.activeElement.id), 'content', 'the focus is lost at the end of the session')
  await context.close()
  console.log('ok    a leader signs in, reads and leaves')

  const other = await signIn('stranger', '/')
  assert.match(await other.page.locator('body').innerText(), /nobody gave you a role/)
  await other.context.close()
  console.log('ok    somebody without a role is told so')
} finally {
  await browser.close()
}
