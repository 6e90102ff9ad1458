import { Link } from '@tanstack/react-router'
import { type ReactNode, useEffect, useId, useState } from 'react'
import { short } from '../../format'
import { Page } from '../../parts/Page'
import { Empty } from '../../parts/States'
import { isDay } from '../../period'
import type { Search } from '../../search'
import { fill, useWordsOf } from '../../words'
import { words } from './words'

// Answer is a yes, a no, or that nobody has said, by shape and word; never by colour alone.
export function Answer({ value }: { value: string | undefined }) {
  const said = useWordsOf(words)
  const state = value === 'true' ? 'yes' : value === 'false' ? 'no' : 'unknown'
  const sign = { yes: '✓', no: '–', unknown: '?' }[state]
  return <span className={`answer ${state}`}><span aria-hidden="true">{sign}</span> {said[state]}</span>
}

// DayFilter chooses the day of which a list is told. shown is the day that is told while none
// was chosen.
export function DayFilter({ on, shown, onChange, most, label }: { on: string | undefined; shown?: string | undefined; onChange: (day: string | undefined) => void; most?: string; label?: string }) {
  const said = useWordsOf(words)
  const id = useId()
  const now = on ?? shown ?? ''
  const [text, setText] = useState(now)
  useEffect(() => setText(now), [now])
  return (
    <div className="filter">
      <label htmlFor={id}>{label ?? said.on}</label>
      <input id={id} type="date" value={text} max={most}
        onChange={(event) => {
          setText(event.target.value)
          // A year that is being typed passes through the year 2.
          if (isDay(event.target.value) && event.target.value > '1990') onChange(event.target.value)
        }}
        onBlur={() => {
          if (isDay(text)) return
          setText(now)
          if (on) onChange(undefined)
        }} />
      {on && <button type="button" className="quiet" onClick={() => onChange(undefined)}>{said.today}</button>}
    </div>
  )
}

// SearchField keeps what is typed for itself and hands it on when the reader pauses, so that
// the address does not change with every letter.
export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (text: string) => void }) {
  const id = useId()
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  useEffect(() => {
    if (text === value) return undefined
    const pause = setTimeout(() => onChange(text), 160)
    return () => clearTimeout(pause)
  }, [text]) // eslint-disable-line
  return (
    <div className="filter search-field">
      <label htmlFor={id}>{label}</label>
      <input id={id} type="search" value={text} onChange={(event) => setText(event.target.value)} />
    </div>
  )
}

// More holds filters: on a phone behind a heading that opens them, elsewhere in sight.
export function More({ title, children }: { title: string; children: ReactNode }) {
  const [wide] = useState(() => !matchMedia('(max-width: 860px)').matches)
  return <details className="more-filters" open={wide}><summary>{title}</summary><div>{children}</div></details>
}

// NotThere is the page of a code that a table has not, with the way to the list of those it has.
export function NotThere({ code, home, title }: { code: string; home: '/services' | '/agencies' | '/regions' | '/projects'; title: string }) {
  const said = useWordsOf(words)
  const list = <Link to={home} search={({ lang }: Search) => ({ lang })}>{title}</Link>
  return <Page title={said.notThere} crumbs={list}><Empty title={fill(said.notThereHint, { code: short(code) })}><p>{list}</p></Empty></Page>
}

// Exports are links to the same answer as a file.
export function Exports({ path }: { path: string }) {
  const said = useWordsOf(words)
  const joined = path + (path.includes('?') ? '&' : '?')
  return (
    <span className="group exports">
      <span className="label">{said.export}</span>
      <a className="button" href={joined + 'format=csv'}>CSV</a>
      <a className="button" href={joined + 'format=xlsx'}>XLSX</a>
    </span>
  )
}
