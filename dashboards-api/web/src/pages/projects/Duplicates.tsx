import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { address, get } from '../../api/client'
import { number } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { useKpis, useTable } from '../places/data'
import type { Asked, Duplicate } from './data'
import { words } from './words'

// useWhys says why two projects look alike.
export function useWhys(): (d: Duplicate) => string {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const kpis = useKpis().data?.kpis
  const services = useTable('services').data?.rows
  // What two projects share are figures and services, each by its code.
  const nameOf = (code: string) => nameIn(kpis?.find((k) => k.id === code)?.title ?? services?.find((s) => s.code === code)?.names, language, code)
  return (d) => [fill(said.whys.name, { n: number(100 * d.name_score, language) }), d.same_agency && said.whys.agency, d.close_budget && said.whys.budget, d.shared.length > 0 && fill(said.whys.shared, { names: d.shared.map(nameOf).join(', ') })].filter(Boolean).join(' · ')
}

// Duplicates are pairs of projects that may be one.
export function Duplicates({ asked, agencies }: { asked: Asked; agencies: Record<string, Record<string, string>> }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const whys = useWhys()
  const found = useQuery({ queryKey: ['duplicates', asked], queryFn: ({ signal }) => get<{ duplicates: Duplicate[] }>(address('/v1/portfolio/duplicates', { ...asked } as object), signal), placeholderData: keepPreviousData })
  if (found.isError) return <Failure error={found.error} again={() => void found.refetch()} />
  if (!found.data) return <Skeleton rows={4} kind="row" />
  if (found.data.duplicates.length === 0) return <Empty title={said.noDuplicates} />
  const one = (p: Duplicate['a']) => <><Link to="/projects/$id" params={{ id: p.id }} search={({ lang, on }) => ({ lang, on })} className="name">{p.name || p.id}</Link><span className="under">{p.id} · {nameIn(agencies[p.agency], language, p.agency)}</span></>
  const columns: Column<Duplicate>[] = [
    { key: 'pair', title: said.pair, wide: true, order: (d) => d.a.name, cell: (d) => <span className="pair"><span>{one(d.a)}</span><span>{one(d.b)}</span></span> },
    { key: 'score', title: said.score, number: true, order: (d) => d.score, cell: (d) => number(d.score, language, 2) },
    { key: 'why', title: said.why, minor: true, cell: (d) => whys(d) },
  ]
  return (
    <section className="card">
      <p className="meta">{said.duplicatesNote}</p>
      <DataTable caption={said.tabs.duplicates} columns={columns} rows={found.data.duplicates} keyOf={(d) => d.a.id + d.b.id} most={40} more={(n) => fill(said.more, { n })} />
    </section>
  )
}
