import { type QueryClient, type QueryKey, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { components } from './schema'

type Watermark = components['schemas']['Watermark']
export type Connection = { state: 'open' | 'lost'; since: Date }

// A connection that is away for less than this is not worth a word.
const patience = 2500

let news = -Infinity

// justNow says whether news came so lately that what changes now changes for them.
export const justNow = () => performance.now() - news < 20_000

// What events do not change: definitions, names and choices.
const standing = ['labels', 'me', 'settings', 'drawing', 'contracts', 'kpi', 'kpis', 'sql', 'keys']

// What is asked of one KPI, whose id is the second part of the key.
const ofOne = ['values', 'why', 'movers', 'gap']

// changedBy says whether the answer to a question may be another one after news of some KPIs;
// of null it is not known which.
export function changedBy(key: QueryKey, kpis: string[] | null): boolean {
  if (kpis === null) return true
  const [what, id] = key as [string, unknown]
  if (standing.includes(what)) return false
  if (ofOne.includes(what)) return kpis.includes(String(id))
  return kpis.length > 0 || !['scorecard', 'changes', 'targets'].includes(what)
}

// useLive listens for new data. What they may have changed on the page is asked for again; the
// server answers 304 where nothing did. A page of another version than the server's is loaded
// again. Whoever has not signed in is told nothing.
export function useLive(onNews: () => void, on: boolean): Connection {
  const client = useQueryClient()
  const [connection, setConnection] = useState<Connection>({ state: 'open', since: new Date() })
  useEffect(() => (on ? listen(client, setConnection, onNews) : undefined), [client, onNews, on])
  return connection
}

function listen(client: QueryClient, tell: (c: Connection) => void, onNews: () => void): () => void {
  let known: number | null = null
  let release: string | undefined
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
      const { loaded, kpis, version } = JSON.parse((event as MessageEvent<string>).data) as Watermark
      if (release !== undefined && version !== release) return location.reload()
      release = version
      if (known !== null && loaded !== known) {
        news = performance.now()
        onNews()
        void client.invalidateQueries({ predicate: ({ queryKey }) => changedBy(queryKey, kpis) })
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
