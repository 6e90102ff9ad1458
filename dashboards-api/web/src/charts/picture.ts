import type { Palette } from './palette'

// Pictures are SVG texts that say what they show: title, sentence, drawing, source. They are
// built from figures, not taken from the screen, so that a phone makes the same as a wall.

export interface Drawn {
  svg: string // elements, in a space of width 1200 and this height
  height: number
}

export interface Around {
  title: string
  sentence: string
  source: string
}

export const width = 1200
export const margin = 40
export const family = 'Inter Variable, Inter, Segoe UI, Roboto, Liberation Sans, Arial, sans-serif'

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
export const escape = (text: string) => text.replace(/[&<>"]/g, (c) => entities[c]!)

// lines breaks a text at spaces into lines of at most so many pixels, as a sans serif of a
// size is wide on average; a word that is longer than a line, such as an address, anywhere.
export function lines(text: string, size: number, room: number): string[] {
  const most = Math.floor(room / (size * 0.53))
  const out: string[] = []
  for (const word of text.split(/ +/).flatMap((w) => w.match(new RegExp(`.{1,${most}}`, 'gu')) ?? [])) {
    const last = out.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= most) out[out.length - 1] = `${last} ${word}`
    else out.push(word)
  }
  return out
}

export const text = (x: number, y: number, said: string, size: number, fill: string, more = '') =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" ${more}>${escape(said)}</text>`

// picture is the whole file. The drawing keeps its proportions between the texts.
export function picture(drawn: Drawn, around: Around, c: Palette): string {
  const out: string[] = []
  let y = margin
  const say = (said: string, size: number, fill: string, more = '') => {
    for (const line of lines(said, size, width - 2 * margin)) {
      y += size * 1.3
      out.push(text(margin, y, line, size, fill, more))
    }
  }
  say(around.title, 30, c.ink, 'font-weight="650"')
  y += 8
  say(around.sentence, 18, c.ink)
  y += 24
  out.push(`<g transform="translate(0 ${y})">${drawn.svg}</g>`)
  y += drawn.height + 16
  say(around.source, 15, c.muted)
  const height = Math.ceil(y + margin)
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(around.title)}" font-family="${family}">` +
    `<rect width="${width}" height="${height}" fill="${c.surface}"/>${out.join('')}</svg>`
}

// hatch is a pattern of thin diagonals, for what was not reported; fill="url(#hatch)".
export const hatch = (c: Palette) =>
  `<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse"><path d="M0 8 8 0" stroke="${c.muted}" stroke-width="1" fill="none"/></pattern></defs>`

function give(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

export const giveSvg = (svg: string, name: string) => give(new Blob([svg], { type: 'image/svg+xml' }), `${name}.svg`)

// givePng draws at twice the size, so that it stays sharp on a slide.
export async function givePng(svg: string, name: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }))
  try {
    const image = new Image()
    image.src = url
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = image.width * 2
    canvas.height = image.height * 2
    canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height)
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/png'))
    if (!blob) throw new Error('this browser makes no PNG of that size')
    give(blob, `${name}.png`)
  } finally {
    URL.revokeObjectURL(url)
  }
}
