import { Link, useParams } from '@tanstack/react-router'
import { number } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { Page } from '../../parts/Page'
import { useVoice } from '../../voice'
import { fill, nameIn, useWordsOf } from '../../words'
import { type Row, useTable } from '../places/data'
import { NotThere } from '../places/parts'
import { Places } from '../places/Places'
import { Standing } from '../places/Standing'
import { words } from '../places/words'

export default function RegionsPage() {
  const said = useWordsOf(words)
  return <Places table="regions" home="/regions" title={said.regions} count={said.regionsTitle} list={(rows, _, title) => <RegionTable rows={rows} caption={title} />} />
}

function RegionTable({ rows, caption }: { rows: Row[]; caption: string }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const columns: Column<Row>[] = [
    { key: 'name', title: said.region, wide: true, order: (row) => nameIn(row.names, language, row.code), cell: (row) => <Link to="/regions/$id" params={{ id: row.code }} search={({ lang }) => ({ lang })} className="name">{nameIn(row.names, language, row.code)}</Link> },
    { key: 'code', title: said.code, order: (row) => row.code, cell: (row) => [row.code, row.values.iso_3166_2].filter(Boolean).join(' · ') },
  ]
  if (rows.some((row) => row.values.population)) columns.push({ key: 'population', title: said.population, number: true, order: (row) => Number(row.values.population ?? 0), cell: (row) => (row.values.population ? number(Number(row.values.population), language) : '') })
  const values = rows.find((row) => row.values.population_source)?.values
  const source = values?.[`population_source_${language}`] ?? values?.population_source
  return (
    <>
      <DataTable caption={caption} columns={columns} rows={rows} keyOf={(row) => row.code} sort={{ key: 'name' }} />
      {source && <p className="caption">{fill(said.sourceOfPopulation, { source })}</p>}
    </>
  )
}

export function Profile() {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { id } = useParams({ from: '/regions/$id' })
  const table = useTable('regions')
  const row = table.data?.rows.find((r) => r.code === id)
  if (table.data && !row) return <NotThere code={id} home="/regions" title={said.regions} />
  return (
    <Page title={nameIn(row?.names, language, id)} query={table}
      crumbs={<Link to="/regions" search={({ lang }) => ({ lang })}>{said.regions}</Link>}
      summary={row && <>{row.values.population && <>{said.population}: {number(Number(row.values.population), language)} · </>}{said.code} {id}</>}>
      {table.data && <Standing table="regions" code={id} />}
    </Page>
  )
}
