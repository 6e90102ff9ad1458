import { Link, useSearch } from '@tanstack/react-router'
import { Fragment, type ReactNode, useLayoutEffect, useRef } from 'react'
import { ApiError, saidIn } from '../api/client'
import { day } from '../format'
import { isDay } from '../period'
import { kindOf, parts, type Search } from '../search'
import { useVoice } from '../voice'
import { fill, useLanguage, useWords } from '../words'

// Skeleton holds the place of what is loading, so that nothing jumps.
export function Skeleton({ rows, kind }: { rows: number; kind: 'card' | 'row' | 'chart' }) {
  const words = useWords()
  return (
    <div className={`skeleton of-${kind}`} role="status" aria-label={words.loading} data-printed={words.notYet}>
      {Array.from({ length: rows }, (_, i) => <div key={i} />)}
    </div>
  )
}

// Failure says in the reader's language what kind of fault it was and what exactly, and offers to
// try again. What the server refuses of the address is named, with what may stand there and a way
// to the same page without it. What the server says in English alone stands folded below.
export function Failure({ error, again, children }: { error: unknown; again: () => void; children?: ReactNode }) {
  const words = useWords()
  const told = saidIn(error, useLanguage())
  const detail = error instanceof ApiError && !told ? error.message : ''
  const kind = error instanceof ApiError ? words.errors[`s${error.status}` as keyof typeof words.errors] : undefined
  const denied = error instanceof ApiError && error.status === 403 // and would be again
  const refused = useRefused(error)
  if (refused) {
    return (
      <section className="failure" role="alert">
        <h2>{words.errorTitle}</h2>
        <p>{told ?? refused.said}</p>
        <Allowed error={error as ApiError} />
        {!refused.isDay && <Detail text={detail} />}
        <p><Link to="." search={(old: Search) => ({ ...old, ...refused.without })}>{words.refusedWithout}</Link></p>
      </section>
    )
  }
  return (
    <section className="failure" role="alert">
      <h2>{denied ? (told ?? kind) : words.errorTitle}</h2>
      {denied ? <p>{words.deniedWho}</p> : <>{kind && <p>{kind}</p>}{told && <p>{told}</p>}</>}
      <Detail text={detail} />
      {!denied && <Again onClick={again} />}
      {children}
    </section>
  )
}

// Allowed leads to each part of the address that is possible in place of the refused one.
function Allowed({ error }: { error: ApiError }) {
  const words = useWords()
  const { labels } = useVoice()
  const search = useSearch({ from: '__root__' })
  const { field } = error
  if (!field || error.allowed.length === 0) return null
  const dimension = [search.where].flat()[0]?.split('=')[0] ?? ''
  const compares: Record<string, string> = { previous: words.comparePrevious, year: words.compareYear }
  const name = (value: string) => ({
    by: labels[`dimension.${value}`], grain: words.grains[value as keyof typeof words.grains], compare: compares[value], variant: labels[`variant.${value}`], basis: labels[`basis.${value}`],
    where: labels[`value.${dimension}.${value}`] ?? labels[`dimension.${value}`],
  })[field] ?? value
  return (
    <p>
      {words.allowed}{' '}
      {error.allowed.map((value, i) => (
        <Fragment key={value}>{i > 0 && ', '}{field === 'where' ? name(value) : <Link to="." resetScroll={false} search={(old: Search) => ({ ...old, [field]: value })}>{name(value)}</Link>}</Fragment>
      ))}
    </p>
  )
}

// Detail is what the server says of a fault, in English: to readers of other languages it opens
// behind a word of their own.
function Detail({ text }: { text: string | undefined }) {
  const words = useWords()
  const language = useLanguage()
  if (!text) return null
  if (language === 'en') return <p>{text}</p>
  return <details className="detail"><summary>{words.detail}</summary><p lang="en">{text}</p></details>
}

// Again is the button that tries again. When it goes away under the reader's finger, what stood
// around it takes the focus.
function Again({ onClick }: { onClick: () => void }) {
  const words = useWords()
  const button = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => {
    const mine = button.current!
    return () => {
      if (document.activeElement !== mine) return
      const around = mine.closest('.failure')?.parentElement?.closest<HTMLElement>('section, main')
      if (!around) return
      around.tabIndex = -1
      around.focus({ preventScroll: true })
    }
  }, [])
  return <button ref={button} type="button" onClick={onClick}>{words.errorAgain}</button>
}

// Fault says beside a form or a figure why something did not work: as Failure does, in a line.
export function Fault({ error }: { error: unknown }) {
  const words = useWords()
  const told = saidIn(error, useLanguage())
  const kind = error instanceof ApiError ? words.errors[`s${error.status}` as keyof typeof words.errors] : undefined
  return <p role="alert" className="problem">{kind ?? words.errorTitle} {told ?? (error instanceof Error && error.message && <span lang="en">{error.message}</span>)}</p>
}

// useRefused is the part of the address that the server refused, said in the reader's language,
// and the change of the address that leaves it out; undefined when the fault is not there.
function useRefused(error: unknown): { said: string; isDay: boolean; without: Search } | undefined {
  const words = useWords()
  const language = useLanguage()
  const search = useSearch({ from: '__root__' })
  if (!(error instanceof ApiError) || error.status !== 400) return undefined
  const field = error.field as keyof typeof words.refused
  const given = search[field]
  if (!given || !(field in words.refused)) return undefined
  const value = Array.isArray(given) ? given.join(', ') : isDay(given) ? day(given, language) : given
  return { said: fill(words.refused[field], { value }), isDay: isDay(given), without: field === 'from' || field === 'to' ? { from: undefined, to: undefined } : { [field]: undefined } }
}

// Unread tells of what the address says that cannot be read: what it is, what could stand there,
// and the way to the same page without it.
export function Unread() {
  const words = useWords()
  const unread = useSearch({ from: '__root__', select: (search: Search) => search.unread })
  if (!unread) return null
  return (
    <div className="notice unread" role="status">
      {unread.map((part) => <p key={part}>{fill(words.leftOut[kindOf(part.slice(0, part.indexOf('=')))], { part, list: parts.join(', ') })}</p>)}
      <p><Link to="." replace resetScroll={false} search={({ unread: _, ...rest }: Search) => rest}>{words.leftOutWithout}</Link></p>
    </div>
  )
}

// NotOffered says that a part of the address is none of those that are possible here, and leads
// to each of these; nothing while it is one of them, or none is known.
export function NotOffered({ part, value, options }: { part: keyof Search; value: string | undefined; options: readonly (readonly [string, string])[] }) {
  const words = useWords()
  if (!value || options.length === 0 || options.some(([key]) => key === value)) return null
  return (
    <p className="notice">
      {fill(words.notOffered, { part: `${part}=${value}` })}{' '}
      {options.map(([key, name], i) => (
        <Fragment key={key}>{i > 0 && ', '}<Link to="." resetScroll={false} search={(old: Search) => ({ ...old, [part]: key })}>{name}</Link></Fragment>
      ))}
    </p>
  )
}

export function SimulatedNotice() {
  const words = useWords()
  return <p className="notice simulated"><span aria-hidden="true">◇</span> {words.simulated}</p>
}

// Empty teaches: what is not there, why, and who can change it or what to do next.
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <section className="empty">
      <h2>{title}</h2>
      {children}
    </section>
  )
}
