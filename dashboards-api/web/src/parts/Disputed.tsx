import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { get } from '../api/client'
import { useMay } from '../api/me'
import type { components } from '../api/schema'
import type { Voice } from '../finding'
import { dayOfMoment } from '../format'
import { useVoice } from '../voice'
import { fill, nameIn, useWords, wordsOf } from '../words'

export type Reply = components['schemas']['Reply']
export type Replies = components['schemas']['Replies']

export type Days = { from: string | null; to: string | null } | null

// disputeOf is who disputes a figure for exactly its days and filters (each name=value).
export function disputeOf(replies: Replies | undefined, kpi: string, days: Days, where: string[] = []): Reply | undefined {
  const row = [...where].sort().join('&')
  return replies?.replies.find((r) => r.kpi === kpi && r.state === 'dispute' && r.from === days?.from && r.to === days.to && Object.entries(r.where).map(([by, code]) => `${by}=${code}`).sort().join('&') === row)
}

export const replierOf = (reply: Reply, { agencies }: Replies, { language }: Pick<Voice, 'language'>) => (reply.agency ? nameIn(agencies[reply.agency], language, reply.agency) : wordsOf(language).theCenter)

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

// disputeText says who disputes a figure since when.
export function disputeText(reply: Reply, replies: Replies, voice: Voice): string {
  return capital(fill(wordsOf(voice.language).disputedBy, { who: replierOf(reply, replies, voice), day: dayOfMoment(reply.at, voice.zone, voice.language) }))
}

// useDisputes asks once for what is said of all figures.
export function useDisputes(): Replies | undefined {
  const may = useMay()
  return useQuery({ queryKey: ['replies', 'all'], queryFn: ({ signal }) => get<Replies>('/v1/replies', signal), enabled: may('GET /v1/replies') }).data
}

// Disputed marks a figure that its owner, or the center, disputes, and leads to what they say.
export function Disputed({ kpi, cell, where = [] }: { kpi: string; cell: Days; where?: string[] | undefined }) {
  const words = useWords()
  const voice = useVoice()
  const replies = useDisputes()
  const found = disputeOf(replies, kpi, cell, where)
  if (!replies || !found) return null
  return (
    <Link to="/kpis/$id" params={{ id: kpi }} search={({ lang, known_on }) => ({ lang, known_on, from: found.from, to: found.to, where: where.length ? where : undefined })} hash="replies"
      className="status off_course disputed" title={disputeText(found, replies, voice)}>
      <span aria-hidden="true">■</span> {words.disputed}
    </Link>
  )
}
