import type { ReactNode } from 'react'
import { ApiError } from '../api/client'
import { useWords } from '../words'

// Skeleton holds the place of what is loading, so that nothing jumps.
export function Skeleton({ rows, kind }: { rows: number; kind: 'card' | 'row' | 'chart' }) {
  const words = useWords()
  return (
    <div className={`skeleton of-${kind}`} role="status" aria-label={words.loading}>
      {Array.from({ length: rows }, (_, i) => <div key={i} />)}
    </div>
  )
}

// Failure says what kind of fault it was in the reader's language, what exactly in the server's
// own words, which are English, and offers to try again.
export function Failure({ error, again }: { error: unknown; again: () => void }) {
  const words = useWords()
  const detail = error instanceof ApiError ? error.message : ''
  const kind = error instanceof ApiError ? words.errors[`s${error.status}` as keyof typeof words.errors] : undefined
  return (
    <section className="failure" role="alert">
      <h2>{words.errorTitle}</h2>
      {kind && <p>{kind}</p>}
      {detail && <p lang="en">{detail}</p>}
      <button type="button" onClick={again}>{words.errorAgain}</button>
    </section>
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
