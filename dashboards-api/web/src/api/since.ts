import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { isoDayOfMoment } from '../format'
import { look } from '../settings'
import { useVoice } from '../voice'
import { address, type Changes, get } from './client'
import { useMay } from './me'

const week = 7 * 86_400_000

// useSince asks what has changed since the day before today on which the reader looked at the
// figures, a week ago when they never did, or since a day that is asked for. That they look today
// is noted.
export function useSince(asked?: string): { since: string | undefined; first: boolean; changes: Changes | undefined; query: ReturnType<typeof useQuery<Changes>> } {
  const { zone } = useVoice()
  const may = useMay()
  const [looked] = useState(() => look(isoDayOfMoment(new Date().toISOString(), zone)))
  const since = asked ?? looked ?? isoDayOfMoment(new Date(Date.now() - week).toISOString(), zone)
  const query = useQuery({
    queryKey: ['changes', since],
    queryFn: ({ signal }) => get<Changes>(address('/v1/changes', { since }), signal),
    enabled: may('GET /v1/changes'),
  })
  return { since, first: asked === undefined && looked === undefined, changes: query.data, query }
}
