import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useMemo } from 'react'
import { address, get, type Table } from '../../api/client'
import { useMay, useScope } from '../../api/me'
import type { components } from '../../api/schema'
import { day, number } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Page } from '../../parts/Page'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { type Row, useKpis, useTable } from '../places/data'
import { NotThere } from '../places/parts'
import { Places } from '../places/Places'
import { Standing } from '../places/Standing'
import { words } from '../places/words'
import { dayOf } from '../projects/data'

type Summary = components['schemas']['PortfolioSummary']

export default function AgenciesPage() {
  const said = useWordsOf(words)
  return <Places table="organisations" home="/agencies" title={said.agencies} count={said.agenciesTitle} list={(rows, _, title) => <AgencyTable rows={rows} caption={title} />} />
}

// countOf is how many services of the catalogue each agency has.
function useServicesBy(): Map<string, number> | undefined {
  const services = useTable('services')
  return useMemo(() => {
    if (!services.data) return undefined
    const counts = new Map<string, number>()
    for (const row of services.data.rows) counts.set(row.values.agency ?? '', (counts.get(row.values.agency ?? '') ?? 0) + 1)
    return counts
  }, [services.data])
}

function AgencyTable({ rows, caption }: { rows: Row[]; caption: string }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const every = useTable('organisations')
  const services = useServicesBy()
  const names = new Map((every.data?.rows ?? []).map((row) => [row.code, row.names]))
  const columns: Column<Row>[] = [
    { key: 'name', title: said.agency, wide: true, order: (row) => nameIn(row.names, language, row.code), cell: (row) => <AgencyLink code={row.code} name={nameIn(row.names, language, row.code)} /> },
    { key: 'parent', title: said.parent, minor: true, order: (row) => nameIn(names.get(row.parent), language), cell: (row) => row.parent && <AgencyLink code={row.parent} name={nameIn(names.get(row.parent), language, row.parent)} /> },
    { key: 'services', title: said.services, number: true, order: (row) => services?.get(row.code) ?? 0, cell: (row) => (services ? number(services.get(row.code) ?? 0, language) : '') },
  ]
  return <DataTable caption={caption} columns={columns} rows={rows} keyOf={(row) => row.code} sort={{ key: 'services', down: true }} most={40} more={(n) => fill(said.more, { n })} />
}

const AgencyLink = ({ code, name }: { code: string; name: string }) => (
  <Link to="/agencies/$id" params={{ id: code }} search={({ lang }) => ({ lang })} className="name">{name}</Link>
)

export function Profile() {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { id } = useParams({ from: '/agencies/$id' })
  const table = useTable('organisations')
  const row = table.data?.rows.find((r) => r.code === id)
  const name = nameIn(row?.names, language, id)
  const parent = row?.parent && table.data?.rows.find((r) => r.code === row.parent)
  if (table.data && !row) return <NotThere code={id} home="/agencies" title={said.agencies} />
  return (
    <Page title={name} query={table}
      crumbs={<Link to="/agencies" search={({ lang }) => ({ lang })}>{said.agencies}</Link>}
      summary={parent && <>{said.parent}: <AgencyLink code={parent.code} name={nameIn(parent.names, language, parent.code)} /></>}>
      {table.data && (
        <>
          <Sides id={id} table={table.data} />
          <Standing table="organisations" code={id} />
        </>
      )}
    </Page>
  )
}

// Sides are what belongs to an agency: services, projects, figures, organisations below it.
function Sides({ id, table }: { id: string; table: Table }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const may = useMay()
  const scope = useScope()
  const services = useServicesBy()
  const kpis = useKpis()
  // Of the day of which the portfolio's own page tells it.
  const asks = may('GET /v1/portfolio') && !(scope?.dimension === 'agency' && scope.value !== id)
  const of = (on: string | undefined, enabled: boolean) => ({
    queryKey: ['portfolio', { agency: id, on }],
    queryFn: ({ signal }: { signal: AbortSignal }) => get<Summary>(address('/v1/portfolio', { agency: id, on } as object), signal),
    enabled,
    retry: false, // a pack without projects has no answer, which is none to wait for
  })
  const today = useQuery(of(undefined, asks)).data
  const on = today && dayOf({ ...today, figures: today.total })
  const portfolio = useQuery(of(on === today?.on ? undefined : on, on !== undefined))
  const owned = kpis.data?.kpis.filter((k) => k.owner === id) ?? []
  const below = table.rows.filter((r) => r.parent === id)
  return (
    <div className="two">
      <section className="card" aria-labelledby="has">
        <h2 id="has">{said.facts}</h2>
        <ul className="mini-list">
          <li><Link to="/services" search={({ lang }) => ({ lang, where: [`agency=${id}`] })}>{said.itsServices}</Link><span>{services && fill(said.itsServicesN, { n: number(services.get(id) ?? 0, language) })}</span></li>
          {portfolio.data && portfolio.data.total.projects > 0 && (
            <li><Link to="/projects" search={({ lang }) => ({ lang, agency: id })}>{said.itsProjects}</Link><span>{fill(said.itsProjectsN, { n: number(portfolio.data.total.projects, language), attention: number(portfolio.data.total.needing_attention, language), day: day(portfolio.data.on, language) })}</span></li>
          )}
          {below.length > 0 && <li><span className="under">{said.below}</span><span className="below">{below.map((r) => <AgencyLink key={r.code} code={r.code} name={nameIn(r.names, language, r.code)} />)}</span></li>}
        </ul>
      </section>
      <section className="card" aria-labelledby="owns">
        <h2 id="owns">{said.owns}</h2>
        {owned.length === 0 ? <p className="meta">{said.ownsNone}</p> : (
          <ul className="mini-list">
            {owned.slice(0, 8).map((k) => <li key={k.id}><Link to="/kpis/$id" params={{ id: k.id }} search={({ lang }) => ({ lang })}>{nameIn(k.title, language, k.id)}</Link></li>)}
            {owned.length > 8 && <li><details><summary>{fill(said.more, { n: owned.length - 8 })}</summary><ul className="mini-list">{owned.slice(8).map((k) => <li key={k.id}><Link to="/kpis/$id" params={{ id: k.id }} search={({ lang }) => ({ lang })}>{nameIn(k.title, language, k.id)}</Link></li>)}</ul></details></li>}
          </ul>
        )}
      </section>
    </div>
  )
}
