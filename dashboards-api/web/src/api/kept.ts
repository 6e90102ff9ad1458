import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { change, onChange, type Settings as Here, settings } from '../settings'
import { get, send, type Settings } from './client'
import { useMay, useMe } from './me'

// What a reader has chosen follows them to other browsers, where the server knows them; else it
// is this browser's alone.

// useKept is true once it is known what the reader has chosen elsewhere, or that nobody knows.
export function useKept(): boolean {
  const me = useMe()
  const account = useMay()('GET /v1/me/settings')
  const kept = useQuery({ queryKey: ['settings'], queryFn: ({ signal }) => get<Settings>('/v1/me/settings', signal), enabled: account, retry: false })
  return account ? !kept.isPending : me.isSuccess
}

// useKeeping takes what was chosen elsewhere, once, and keeps what is chosen here from then on.
export function useKeeping(): void {
  const client = useQueryClient()
  const account = useMay()('PUT /v1/me/settings')
  const ready = useKept()
  useEffect(() => {
    if (!account || !ready) return
    const elsewhere = client.getQueryData<Settings>(['settings'])
    if (!elsewhere) return // it could not be read: what is chosen here stays here
    change(taken(elsewhere))
    return onChange(() => {
      // Read first: another page may have kept its views meanwhile. What could not be kept now is
      // kept with the next choice.
      void get<Settings>('/v1/me/settings')
        .then(({ changed: _, ...now }) => send<Settings>('PUT', '/v1/me/settings', { ...now, ...given(now) }))
        .then((now) => client.setQueryData(['settings'], now))
        .catch(() => undefined)
    })
  }, [account, ready, client])
}

// taken are the settings of the server as this browser has them. What was chosen nowhere else
// stays as it is here.
export function taken(kept: Settings): Here {
  const more = kept.more ?? {}
  const looked = Array.isArray(more.looked) ? more.looked.filter((d): d is string => typeof d === 'string') : []
  const days = [...new Set([...looked, ...(settings().looked ?? [])])].sort().reverse().slice(0, 2)
  const part: Here = {}
  if (kept.language) part.language = kept.language
  if (kept.theme) part.theme = kept.theme
  if (more.start === '/monday' || more.start === '/promises' || more.start === '/projects') part.start = more.start
  if (days.length) part.looked = days
  return part
}

function given(kept: Omit<Settings, 'changed'>) {
  const { language, theme, start, looked } = settings()
  return { language: language ?? '', theme: theme ?? '', looked: looked?.[0] ? `${looked[0]}T00:00:00Z` : kept.looked, more: { ...kept.more, start: start ?? null, looked: looked ?? [] } }
}
