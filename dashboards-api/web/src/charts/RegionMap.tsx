import { type KeyboardEvent, useRef } from 'react'
import { useVoice } from '../voice'
import { amount, cellText, isRate, number } from '../format'
import { Way } from '../parts/Way'
import { fill, useWordsOf } from '../words'
import type { Part } from './Bars'
import './charts.css'
import { credit, type Drawing } from './drawing'
import type { Palette } from './palette'
import { type Drawn, escape, hatch, text, width } from './picture'
import { classes, type Classes } from './scale'
import { measured } from './states'
import { words } from './words'

interface Props {
  drawing: Drawing
  places: Map<string, string> // code to place of the drawing
  parts: Part[] // ranked: that is the order of the arrow keys
  names?: Map<string, string> // of all codes: what one is called that is no part, and has no figure
  unit: string
  label: string
  hot: string | undefined
  onHot: (code: string | undefined) => void
}

export const classesOf = (parts: Part[]): Classes | undefined => classes(parts.filter((p) => measured(p.cell)).map((p) => p.cell.value!))

// labelOf is the figure of a place in as few characters as tell its class.
const labelOf = (part: Part, unit: string, language: string, scale: Classes | undefined) =>
  isRate(unit) ? number(part.cell.value!, language, Math.abs(part.cell.value!) < 10 ? 2 : 0) : unit === 'percent' ? number(part.cell.value!, language, scale && scale.bounds[1]! - scale.bounds[0]! < 1 ? 1 : 0) : amount(part.cell.value!, unit, language)

// RegionMap draws a figure by place. Places are links; Tab comes to the map once, arrow keys
// go from place to place. What has no number is drawn as its state, places of the drawing that
// are no part of the figure (a lake) and those without a figure without colour.
export function RegionMap({ drawing, places, parts, names, unit, label, hot, onHot }: Props) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const box = useRef<SVGSVGElement>(null)
  const scale = classesOf(parts)
  const byPlace = new Map(parts.flatMap((p) => (places.has(p.code) ? [[places.get(p.code)!, p] as const] : [])))
  const codes = new Map([...places].map(([code, place]) => [place, code]))
  const order = parts.filter((p) => places.has(p.code))
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const at = order.findIndex((p) => p.code === hot)
    const next = order[(at + step + order.length) % order.length]
    box.current?.querySelector<SVGAElement>(`[data-code="${CSS.escape(next?.code ?? '')}"]`)?.focus()
  }
  const tabbed = order.some((p) => p.code === hot) ? hot : order[0]?.code
  const pointed = hot === undefined ? undefined : drawing.places.find((place) => byPlace.get(place.key)?.code === hot)
  return (
    <figure className="map">
      <svg ref={box} viewBox={drawing.box.join(' ')} role="group" aria-label={fill(said.mapOf, { title: label })} onKeyDown={onKey} onMouseLeave={() => onHot(undefined)}>
        <defs><pattern id="map-hatch" width="8" height="8" patternUnits="userSpaceOnUse"><path d="M0 8 8 0" className="hatch" /></pattern></defs>
        {drawing.places.map((place) => {
          const part = byPlace.get(place.key)
          const code = codes.get(place.key)
          if (!part) return <path key={place.key} d={place.path} className={`place ${code ? 'not_applicable' : 'elsewhere'}`} aria-hidden="true">{code && <title>{`${names?.get(code) ?? code}: ${said.nothing}`}</title>}</path>
          const tone = measured(part.cell) ? `tone t${scale?.tone(part.cell.value!) ?? 3}` : part.cell.state
          const shape = <path d={place.path} className={`place ${tone}`} />
          const says = `${part.name}: ${cellText(part.cell, unit, language, labels)}`
          return part.search ? (
            <Way key={place.key} to={part.to} search={part.search} data-code={part.code} aria-label={says} tabIndex={part.code === tabbed ? 0 : -1}
              onFocus={() => onHot(part.code)} onBlur={() => onHot(undefined)} onMouseEnter={() => onHot(part.code)}>
              <title>{says}</title>{shape}
            </Way>
          ) : <g key={place.key} role="img" aria-label={says} onMouseEnter={() => onHot(part.code)}><title>{says}</title>{shape}</g>
        })}
        {pointed && <path d={pointed.path} className="outline" aria-hidden="true" />}{/* over its neighbours, and places stay where they are: one that moves loses the click on it */}
        <g aria-hidden="true" className="map-labels">
          {drawing.places.map((place) => {
            const part = byPlace.get(place.key)
            if (!part || !place.middle || !measured(part.cell)) return null
            const label = labelOf(part, unit, language, scale)
            if (label.length * 9 > place.width) return null
            return <text key={place.key} x={place.middle[0]} y={place.middle[1]} className={`on-t${scale?.tone(part.cell.value!) ?? 3}`}>{label}</text>
          })}
        </g>
      </svg>
      <figcaption>
        {scale && <Legend scale={scale} unit={unit} />}
        <small>{said.mapCredit}: <a href={credit.url} rel="noreferrer">{credit.text}</a></small>
      </figcaption>
    </figure>
  )
}

// Legend says from where to where each tone reaches.
export function Legend({ scale, unit }: { scale: Classes; unit: string }) {
  const { language, labels } = useVoice()
  const bounds = scale.bounds
  const digits = [0, 1, 2].find((d) => bounds.every((v) => Math.abs(v * 10 ** d - Math.round(v * 10 ** d)) < 1e-6)) ?? 2
  const say = (v: number) => (unit === 'percent' || isRate(unit) ? number(v, language, digits) : amount(v, unit === 'count' ? 'count' : unit, language, labels))
  return (
    <ol className="legend">
      {bounds.slice(0, -1).map((low, i) => (
        <li key={low}><span className={`tone t${scale.tone(low)}`} aria-hidden="true" />{say(low)}–{say(bounds[i + 1]!)}{unit === 'percent' && '\u00a0%'}</li>
      ))}
    </ol>
  )
}

// drawMap is the same map for a file.
export function drawMap(drawing: Drawing, places: Map<string, string>, parts: Part[], unit: string, language: string, c: Palette): Drawn {
  const [x, y, w, h] = drawing.box
  const size = 1.3
  const scale = classesOf(parts)
  const byPlace = new Map(parts.flatMap((p) => (places.has(p.code) ? [[places.get(p.code)!, p] as const] : [])))
  const fillOf = (part: Part | undefined) =>
    !part ? c.soft : measured(part.cell) ? c.tones[scale?.tone(part.cell.value!) ?? 3]! : part.cell.state === 'not_provided' ? 'url(#hatch)' : c.surface
  const shapes = drawing.places.map((p) => `<path d="${escape(p.path)}" fill="${fillOf(byPlace.get(p.key))}" stroke="${c.surface}" stroke-width="1"/>`)
  const labels = drawing.places.flatMap((p) => {
    const part = byPlace.get(p.key)
    if (!part || !p.middle || !measured(part.cell)) return []
    const said = labelOf(part, unit, language, scale)
    return said.length * 9 > p.width ? [] : [text(p.middle[0], p.middle[1], said, 13, c.onTones[scale?.tone(part.cell.value!) ?? 3]!, 'text-anchor="middle" dominant-baseline="central"')]
  })
  const left = (width - w * size) / 2
  const out = [hatch(c), `<g transform="translate(${left - x * size} ${-y * size}) scale(${size})">${shapes.join('')}${labels.join('')}</g>`]
  let at = 40
  const bounds = scale?.bounds ?? []
  bounds.slice(0, -1).forEach((low, i) => {
    const said = `${amount(low, unit, language)} – ${amount(bounds[i + 1]!, unit, language)}`
    out.push(`<rect x="${at}" y="${h * size + 18}" width="22" height="14" fill="${c.tones[scale!.tone(low)]}"/>`, text(at + 30, h * size + 30, said, 14, c.muted))
    at += 54 + said.length * 8
  })
  out.push(text(width - 40, h * size + 54, credit.text, 13, c.muted, 'text-anchor="end"'))
  return { svg: out.join(''), height: h * size + 60 }
}
