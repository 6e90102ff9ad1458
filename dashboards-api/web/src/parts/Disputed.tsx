import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { get } from '../api/client'
import { useMay } from '../api/me'
import type { components } from '../api/schema'
import { useVoice } from '../voice'
import { nameIn, useWords } from '../words'
import { dayOfMoment } from '../format'

type Replies = components['schemas']['Replies']

interface Props {
  kpi: string
  cell: { from: string | null; to: string | null } | null
  where?: string[] | undefined // each name=value
}

// Disputed marks a figure that its owner, or the center, disputes for exactly its days and filters, and
// leads to what they say. The disputes of all figures are asked for once.
export function Disputed({ kpi, cell, where = [] }: Props) {
  const words = useWords()
  const voice = useVoice()
  const may = useMay()
  const replies = useQuery({ queryKey: ['replies', 'all'], queryFn: ({ signal }) => get<Replies>('/v1/replies', signal), enabled: may('GET /v1/replies') }).data
  const row = [...where].sort().join('&')
  const found = replies?.replies.find((r) => r.kpi === kpi && r.state === 'dispute' && r.from === cell?.from && r.to === cell.to && Object.entries(r.where).map(([by, code]) => `${by}=${code}`).join('&') === row)
  if (!replies || !found) return null
  const who = found.agency && nameIn(replies.agencies[found.agency], voice.language, found.agency)
  return (
    <Link to="/kpis/$id" params={{ id: kpi }} search={({ lang, known_on }) => ({ lang, known_on, from: found.from, to: found.to, where: where.length ? where : undefined })} hash="replies"
      className="status off_course disputed" title={[who, dayOfMoment(found.at, voice.zone, voice.language)].filter(Boolean).join(', ')}>
      <span aria-hidden="true">■</span> {words.disputed}
    </Link>
  )
}
