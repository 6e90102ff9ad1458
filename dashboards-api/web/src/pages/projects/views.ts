import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { get } from '../../api/client'
import { useMay } from '../../api/me'
import type { components } from '../../api/schema'

// Views are addresses of the portfolio under names of the reader's own: kept with the account
// where the server keeps settings, else in this browser.

type Settings = components['schemas']['Settings']
export type View = components['schemas']['View']

const key = 'ombor.views'
const page = '/projects'
const ofPage = (view: View) => view.address === page || view.address.startsWith(page + '?')

function readHere(): View[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? '[]')
    return Array.isArray(kept) ? kept.filter((v): v is View => typeof v?.name === 'string' && typeof v?.address === 'string') : []
  } catch {
    return [] // storage is off, or holds something else
  }
}

// kept puts a view under a name, in place of one of the same name.
export const kept = (views: View[], view: View): View[] => [...views.filter((v) => v.name !== view.name), view]
export const dropped = (views: View[], name: string): View[] => views.filter((v) => v.name !== name || !ofPage(v))

export function useViews(): { views: View[]; account: boolean; keep: (view: View) => void; drop: (name: string) => void } {
  const may = useMay()
  const client = useQueryClient()
  const account = may('GET /v1/me/settings') && may('PUT /v1/me/settings')
  const settings = useQuery({ queryKey: ['settings'], queryFn: ({ signal }) => get<Settings>('/v1/me/settings', signal), enabled: account })
  const [here, setHere] = useState(readHere)
  const all = account ? (settings.data?.views ?? []) : here
  const write = (change: (views: View[]) => View[]) => {
    if (!account) {
      const next = change(here)
      setHere(next)
      try {
        localStorage.setItem(key, JSON.stringify(next))
      } catch {
        // Storage is off: the view holds until the page is left.
      }
      return
    }
    void (async () => {
      // Another page may have kept something since: all of it is written, so it is read first.
      const { changed: _, ...now } = await get<Settings>('/v1/me/settings')
      const response = await fetch('/v1/me/settings', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...now, views: change(now.views) }) })
      if (response.ok) client.setQueryData(['settings'], await response.json())
    })()
  }
  return { views: all.filter(ofPage), account, keep: (view) => write((views) => kept(views, view)), drop: (name) => write((views) => dropped(views, name)) }
}
