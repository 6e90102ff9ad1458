// The same figure everywhere: on its page in each language, in the API, and, where the file
// that --figures names has them, as `ombor kpi` printed them. What the page shows is read back
// as its language writes numbers.
import { must, settled } from './kit.mjs'

// parse reads a number as a language writes it, and half of what its last digit is worth.
export function parse(text, language) {
  const digits = text.replaceAll('−', '-').replace(/[\s\u00a0\u202f]/g, '').match(/-?[\d.,]+/)?.[0]?.replace(/[.,]$/, '') ?? ''
  const plain = language === 'en' ? digits.replaceAll(',', '') : digits.replaceAll('.', '').replace(',', '.')
  return { value: Number(plain), within: 0.5 * 10 ** -(plain.split('.')[1] ?? '').length + 1e-9 }
}

export default async function ({ api, test, visit, languages, figures }) {
  const year = 'from=2024-01-01&to=2024-12-31'
  let told = figures
  if (!told) {
    const { rows } = await api(`/v1/scorecard?${year}`)
    const shown = rows.filter((r) => r.cell?.state === 'value' && Math.abs(r.cell.value) < 1e9)
    told = Object.fromEntries(['percent', 'count', 'days'].flatMap((unit) => shown.filter((r) => r.unit === unit).slice(0, 2)).map((r) => [r.kpi, r.cell.value]))
  }
  must(Object.keys(told).length >= 3, `there are ${Object.keys(told).length} figures to look at`)

  // Each figure is read in every language, and each language is once the one that it is opened in.
  for (const [i, [id, value]] of Object.entries(told).entries()) {
    await test(`the same figure on the page in each language, in the API and by the command: ${id}`, async () => {
      const cell = (await api(`/v1/kpis/${id}/values?${year}`)).cells[0]
      must(Math.abs(cell.value - value) < 1e-6 * Math.max(1, Math.abs(value)), `the API tells ${cell.value}, the command ${value}`)
      const [first, ...others] = languages.map((_, at) => languages[(i + at) % languages.length])
      const held = async (page, language) => {
        const text = await page.locator('.huge .figure').innerText()
        const read = parse(text, language)
        must(Math.abs(read.value - value) <= read.within, `in ${language} the page shows ${text}, read as ${read.value}; the API tells ${value}`)
      }
      await visit(`/kpis/${id}?${year}&lang=${first}`, {}, async (page) => {
        await held(page, first)
        for (const language of others) {
          await page.locator(`.languages button[lang=${language}]`).click()
          await page.waitForFunction((l) => document.documentElement.lang === l, language)
          await settled(page)
          await held(page, language)
        }
      })
    })
  }
}
