import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { isoDayOfMoment } from '../format'
import { look } from '../settings'
import { useVoice } from '../voice'
import { address, type Changes, get } from './client'
import { useKept } from './kept'
import { useMay } from './me'

const week = 7 * 86_400_000

// useSince asks what has changed since the day before today on which the reader looked at the
// figures, a week ago when they never did, or since a day that is asked for. That they look today
// is noted.
export function useSince(asked?: string): { since: string | undefined; first: boolean; changes: Changes | undefined; query: ReturnType<typeof useQuery<Changes>> } {
  const { zone } = useVoice()
  const may = useMay()
  const ready = useKept()
  const [looked, setLooked] = useState<string | null>() // null: never before; undefined: not known yet
  useEffect(() => {
    if (ready) setLooked(look(isoDayOfMoment(new Date().toISOString(), zone)) ?? null)
  }, [ready, zone])
  const since = asked ?? (looked === null ? isoDayOfMoment(new Date(Date.now() - week).toISOString(), zone) : looked)
  const query = useQuery({
    queryKey: ['changes', since],
    queryFn: ({ signal }) => get<Changes>(address('/v1/changes', { since }), signal),
    enabled: since !== undefined && may('GET /v1/changes'),
    retry: false, // it holds every figure against an earlier one: what took too long is not asked for at once again
  })
  return { since: may('GET /v1/changes') ? since : undefined, first: asked === undefined && looked === null, changes: query.data, query }
}
