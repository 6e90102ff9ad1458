import { type QueryClient, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'

export type Connection = { state: 'open' | 'lost'; since: Date }

// A connection that is away for less than this is not worth a word.
const patience = 2500

let news = -Infinity

// justNow says whether news came so lately that what changes now changes for them.
export const justNow = () => performance.now() - news < 20_000

// useLive listens for new data. Figures on the page are asked for again when the
// watermark moved; the server answers 304 for those that did not change. Whoever has not
// signed in is told nothing.
export function useLive(onNews: () => void, on: boolean): Connection {
  const client = useQueryClient()
  const [connection, setConnection] = useState<Connection>({ state: 'open', since: new Date() })
  useEffect(() => (on ? listen(client, setConnection, onNews) : undefined), [client, onNews, on])
  return connection
}

function listen(client: QueryClient, tell: (c: Connection) => void, onNews: () => void): () => void {
  let known: number | null = null
  let last = new Date()
  let silent: ReturnType<typeof setTimeout> | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  let source: EventSource | undefined

  const open = () => {
    source = new EventSource('/v1/live')
    source.onopen = () => {
      clearTimeout(silent)
      silent = undefined
      tell({ state: 'open', since: new Date() })
    }
    source.addEventListener('watermark', (event) => {
      last = new Date()
      const { loaded } = JSON.parse((event as MessageEvent<string>).data) as { loaded: number }
      if (known !== null && loaded !== known) {
        news = performance.now()
        onNews()
        void client.invalidateQueries()
      }
      known = loaded
    })
    source.onerror = () => {
      silent ??= setTimeout(() => tell({ state: 'lost', since: last }), patience)
      // A browser gives up for good when the answer was no stream, as from a proxy
      // while the server is away.
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, 2 * patience)
    }
  }
  open()
  return () => {
    clearTimeout(silent)
    clearTimeout(again)
    source?.close()
  }
}
