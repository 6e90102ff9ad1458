import { useCallback, useEffect, useReducer, useRef } from 'react'
import { ApiError, ask, type RunColumn, type RunEnd, type RunLine } from '../../api/client'

// Running is a statement that runs or ran, as the page follows it.
export interface Running {
  id?: string
  columns: RunColumn[]
  rows: unknown[][]
  seconds: number
  readRows: number
  totalRows: number // 0: not known
  end?: Pick<RunEnd, 'state' | 'seconds' | 'read_rows'> // absent while it runs
  error?: { message: string; words: Record<string, string> } // what went wrong, and what to do, by language
}

const beginning: Running = { columns: [], rows: [], seconds: 0, readRows: 0, totalRows: 0 }

function follow(now: Running | undefined, lines: RunLine[] | 'begin' | 'cancelled' | Error): Running | undefined {
  if (lines === 'begin') return beginning
  if (!now) return now
  const endedBy = (state: RunEnd['state']) => now.end ?? { state, seconds: now.seconds, read_rows: now.readRows }
  if (lines === 'cancelled') return { ...now, end: endedBy('cancelled') }
  if (lines instanceof Error) return { ...now, end: endedBy('failed'), error: { message: lines.message, words: lines instanceof ApiError ? lines.words : {} } }
  let next = now
  for (const line of lines) {
    if (line.event === 'begun') next = { ...next, id: line.id }
    else if (line.event === 'progress') next = { ...next, seconds: line.seconds, readRows: line.read_rows, totalRows: line.total_rows }
    else if (line.event === 'columns') next = { ...next, columns: line.columns }
    else if (line.event === 'rows') next = { ...next, rows: next.rows.concat(line.rows) }
    else next = { ...next, seconds: line.seconds, readRows: line.read_rows, end: line, ...(line.problem ? { error: { message: line.problem.detail, words: line.problem.words ?? {} } } : {}) }
  }
  return next
}

export interface Statement {
  sql: string
  parameters: Record<string, string>
  query?: string | undefined
}

// useRun runs one statement at a time. Cancelling closes the connection, which ends the
// statement on the server; so does leaving the page. said is what is told when the
// connection was lost.
export function useRun(lost: string, onEnd: () => void) {
  const [running, tell] = useReducer(follow, undefined)
  const connection = useRef<AbortController>(undefined)
  useEffect(() => () => connection.current?.abort(), [])
  const cancel = useCallback(() => connection.current?.abort(), [])
  const start = useCallback(async (statement: Statement) => {
    connection.current?.abort()
    const mine = (connection.current = new AbortController())
    tell('begin')
    try {
      const response = await ask('/v1/workbench/runs', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(statement) }, mine.signal)
      let ended = false
      for await (const lines of linesOf(response.body!)) {
        if (connection.current !== mine) return
        ended ||= lines.some((l) => l.event === 'end')
        tell(lines)
      }
      if (!ended) tell(new Error(lost))
    } catch (error) {
      if (connection.current !== mine) return
      tell(mine.signal.aborted ? 'cancelled' : error instanceof ApiError && error.message ? error : new Error(lost))
    }
    onEnd()
  }, [lost, onEnd])
  return { running, start, cancel }
}

// linesOf reads lines of JSON as they come, those of one piece of the body together.
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<RunLine[]> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (rest + value).split('\n')
    rest = lines.pop()!
    const parsed = lines.filter(Boolean).map((line) => JSON.parse(line) as RunLine)
    if (parsed.length) yield parsed
  }
}
