import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { type ReactNode, useDeferredValue, useMemo, useState } from 'react'
import { address, ApiError, get, type Labels, type Table } from '../../api/client'
import type { components } from '../../api/schema'
import { amount, day, number, shortDay } from '../../format'
import { type Column, DataTable } from '../../parts/DataTable'
import { useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Empty } from '../../parts/States'
import { isDay } from '../../period'
import { useNarrow } from '../../screen'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { type Facet, facetsOf, fieldsOf, narrowed, toggled } from '../places/catalogue'
import { type Row, type Service, useTable } from '../places/data'
import { Answer, DayFilter, Exports, More, NotThere, SearchField } from '../places/parts'
import { Standing } from '../places/Standing'
import { words } from '../places/words'
import '../places/places.css'

type Contracts = components['schemas']['Contracts']

const useContracts = () => useQuery({ queryKey: ['contracts'], queryFn: ({ signal }) => get<Contracts>('/v1/contracts', signal) })

// What stands in a column, in words: by the contract, by the pack, as it is.
function useColumns(table: Table | undefined) {
  const said = useWordsOf(words)
  const { language, labels } = useVoice()
  const contracts = useContracts()
  return useMemo(() => {
    const fields = table && contracts.data ? fieldsOf(contracts.data.contracts, table) : new Map<string, never>()
    const known: Record<string, string> = said.columns
    const title = (column: string) => nameIn((fields.get(column) as { title?: Record<string, string> } | undefined)?.title, language) || known[column] || labels[`dimension.${column}`] || column
    const agency = [...fields.values()].find((f: { to: string }) => f.to === 'organisations') as { name: string } | undefined
    return { title, agency: agency?.name ?? 'agency', value: (column: string, v: string) => labels[`value.${column}.${v}`] ?? v, unit: (column: string) => (fields.get(column) as { unit?: string } | undefined)?.unit, named: (column: string, v: string) => `value.${column}.${v}` in labels }
  }, [table, contracts.data, language, labels, said])
}

// Rows and agencies that are drawn at first.
const most = { table: 60, phone: 12 }

export default function ServicesPage() {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const search = useSearch({ from: '__root__' })
  const change = useChange()
  const on = isDay(search.on) ? search.on : undefined
  const services = useTable('services', on)
  const organisations = useTable('organisations')
  const columns = useColumns(services.data)
  const names = useMemo(() => new Map((organisations.data?.rows ?? []).map((row) => [row.code, row.names])), [organisations.data])
  const where = search.where ?? []
  const sought = useDeferredValue(search.q ?? '')
  const table = services.data
  const rows = useMemo(
    () => (table ? narrowed(table.rows, { sought, where }, (row) => Object.values(names.get(row.values[columns.agency] ?? '') ?? {})) : []),
    [table, sought, where.join('\n'), names, columns.agency], // eslint-disable-line
  )
  const facets = useMemo(() => (table ? facetsOf(table, ['active', columns.agency]) : []), [table, columns.agency])
  const narrow = where.length > 0 || (search.q ?? '') !== ''
  const narrowScreen = useNarrow()
  const shownDay = table ? day(table.on, language) : ''
  const title = !table ? said.services : narrow
    ? fill(said.servicesFound, { n: number(rows.length, language), all: number(table.rows.length, language), day: shownDay })
    : fill(said.servicesOn, { n: number(table.rows.length, language), day: shownDay })
  const agencies = useMemo(() => {
    const counts = new Map<string, number>()
    for (const row of table?.rows ?? []) counts.set(row.values[columns.agency] ?? '', (counts.get(row.values[columns.agency] ?? '') ?? 0) + 1)
    return [...counts].map(([code, n]) => ({ code, n, name: nameIn(names.get(code), language, code) })).sort((a, b) => a.name.localeCompare(b.name, language))
  }, [table, names, columns.agency, language])
  const flags = facets.filter((f) => f.flag).map((f) => f.column).slice(0, 6)
  const list = (some: Row[], caption: string) => <ServiceTable rows={some} caption={caption} columns={columns} names={names} flags={flags} atFirst={narrowScreen ? most.phone : most.table} />
  return (
    <Page title={title} tab={said.services} query={services} simulated={table?.rows.some((row) => row.simulated)}
      summary={table && (table.basis === 'events' ? `${said.basisEvents} ${said.basisMixed}` : said.basisTable)}
      filters={<DayFilter on={on} shown={table?.on} onChange={(next) => change({ on: next })} />}
      actions={<Exports path={address('/v1/services', { on } as object)} />}>
      {table && table.rows.length === 0 ? <Empty title={said.none}><p>{fill(said.noneBefore, { day: shownDay })}</p></Empty> : table && (
        <div className="catalogue">
          <section className="card facets" aria-label={said.filters}>
            <SearchField label={said.search} value={search.q ?? ''} onChange={(q) => change({ q: q || undefined })} />
            <div className="facet">
              <label htmlFor="of-agency">{columns.title(columns.agency)}</label>
              <select id="of-agency" value={where.find((w) => w.startsWith(columns.agency + '='))?.slice(columns.agency.length + 1) ?? ''}
                onChange={(event) => {
                  const rest = where.filter((w) => !w.startsWith(columns.agency + '='))
                  const next = event.target.value ? [...rest, `${columns.agency}=${event.target.value}`] : rest
                  change({ where: next.length ? next : undefined })
                }}>
                <option value="">{said.all}</option>
                {agencies.filter((a) => a.code).map((a) => <option key={a.code} value={a.code}>{a.name} ({a.n})</option>)}
              </select>
            </div>
            <More title={said.filters}>{facets.map((facet) => <FacetChoice key={facet.column} facet={facet} title={columns.title(facet.column)} say={(v) => columns.value(facet.column, v)} where={where} onToggle={(text) => change({ where: toggled(where, text) })} />)}</More>
            {narrow && <button type="button" onClick={() => change({ where: undefined, q: undefined })}>{said.clear}</button>}
          </section>
          <div className="found">
            <p className="spoken" role="status">{fill(said.found, { n: rows.length, all: table.rows.length })}</p>
            {rows.length === 0 ? <Empty title={said.none}><p>{said.noneHint}</p></Empty>
              : narrowScreen && !narrow ? <ByAgency agencies={agencies} rowsOf={(code) => rows.filter((row) => (row.values[columns.agency] ?? '') === code)} list={list} />
              : list(rows, title)}
          </div>
        </div>
      )}
    </Page>
  )
}

// FacetChoice is one column with how many have each value. What is pressed narrows the list.
function FacetChoice({ facet, title, say, where, onToggle }: { facet: Facet; title: string; say: (value: string) => string; where: string[]; onToggle: (text: string) => void }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const order = facet.flag ? ['true', 'false', ''] : [...facet.counts].sort((a, b) => b[1] - a[1]).map(([v]) => v)
  const name = (v: string) => (v === '' ? said.unknown : facet.flag ? (v === 'true' ? said.yes : said.no) : say(v))
  return (
    <div className="facet" role="group" aria-label={title}>
      <span className="facet-name">{title}</span>
      <span className="answers">
        {order.filter((v) => facet.counts.has(v)).map((v) => {
          const text = `${facet.column}=${v}`
          const n = facet.counts.get(v)!
          return (
            <button key={v} type="button" aria-pressed={where.includes(text)} onClick={() => onToggle(text)}>
              {name(v)} <span className="count">{number(n, language)}</span>
            </button>
          )
        })}
      </span>
    </div>
  )
}

// What was opened stays so until the page is left for good: the way back leads to the same row.
const opened = new Set<string>()

// ByAgency folds the catalogue on a phone: agencies, those with the most services first, each
// opening to its services.
function ByAgency({ agencies, rowsOf, list }: { agencies: { code: string; name: string; n: number }[]; rowsOf: (code: string) => Row[]; list: (rows: Row[], caption: string) => ReactNode }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const [shown, show] = useState(most.phone)
  const [, again] = useState(0)
  const sorted = [...agencies].sort((a, b) => Number(a.code === '') - Number(b.code === '') || b.n - a.n)
  const fold = (code: string) => {
    if (!opened.delete(code)) opened.add(code)
    again((n) => n + 1)
  }
  return (
    <>
      <ul className="folds">
        {sorted.slice(0, Math.max(shown, sorted.findLastIndex((a) => opened.has(a.code)) + 1)).map(({ code, name, n }) => (
          <li key={code}>
            <button type="button" aria-expanded={opened.has(code)} onClick={() => fold(code)}><span>{name || said.unknown}</span> <span className="count">{number(n, language)}</span></button>
            {opened.has(code) && list(rowsOf(code), name || said.unknown)}
          </li>
        ))}
      </ul>
      {sorted.length > shown && <p className="more"><button type="button" onClick={() => show(sorted.length)}>{fill(said.more, { n: number(sorted.length - shown, language) })}</button></p>}
    </>
  )
}

interface Columns {
  title: (column: string) => string
  agency: string
  value: (column: string, v: string) => string
  unit: (column: string) => string | undefined
  named: (column: string, v: string) => boolean // whether the pack has words for a value
}

function ServiceTable({ rows, caption, columns, names, flags, atFirst }: { rows: Row[]; caption: string; columns: Columns; names: Map<string, Record<string, string>>; flags: string[]; atFirst: number }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const [added, setAdded] = useState(0)
  const shown = atFirst + added
  const list: Column<Row>[] = [
    {
      key: 'name', title: said.service, wide: true, order: (row) => nameIn(row.names, language, row.code),
      cell: (row) => (
        <>
          <Link to="/services/$id" params={{ id: row.code }} search={({ lang }) => ({ lang })} className="name">{nameIn(row.names, language, row.code)}</Link>
          <span className="under">{nameIn(names.get(row.values[columns.agency] ?? ''), language, row.values[columns.agency] ?? '')}</span>
        </>
      ),
    },
    ...flags.map((column): Column<Row> => ({ key: column, title: columns.title(column), order: (row) => row.values[column] ?? null, cell: (row) => <Answer value={row.values[column]} /> })),
  ]
  if (rows.some((row) => row.values.form_minutes)) list.push({ key: 'minutes', title: said.minutes, number: true, minor: true, order: (row) => (row.values.form_minutes ? Number(row.values.form_minutes) : null), cell: (row) => (row.values.form_minutes ? number(Number(row.values.form_minutes), language) : '') })
  if (rows.some((row) => row.values.applications_since_launch)) list.push({ key: 'requests', title: said.requests, number: true, minor: true, order: (row) => (row.values.applications_since_launch ? Number(row.values.applications_since_launch) : null), cell: (row) => (row.values.applications_since_launch ? number(Number(row.values.applications_since_launch), language) : '') })
  return (
    <>
      <DataTable caption={caption} columns={list} rows={rows} keyOf={(row) => row.code} most={shown} sort={list.some((c) => c.key === 'requests') ? { key: 'requests', down: true } : { key: 'name' }} />
      {rows.length > shown && <p className="more"><button type="button" onClick={() => setAdded(added + 200)}>{fill(said.more, { n: number(Math.min(200, rows.length - shown), language) })}</button></p>}
    </>
  )
}

export function Profile() {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { id } = useParams({ from: '/services/$id' })
  const service = useQuery({ queryKey: ['service', id], queryFn: ({ signal }) => get<Service>(`/v1/services/${encodeURIComponent(id)}`, signal), placeholderData: keepPreviousData })
  const table = useTable('services')
  const organisations = useTable('organisations')
  const columns = useColumns(table.data)
  const data = service.data
  const name = nameIn(data?.names, language, id)
  const last = data?.states[data.states.length - 1]
  const agency = last?.values[columns.agency]
  const agencyName = agency && nameIn(organisations.data?.rows.find((row) => row.code === agency)?.names, language, agency)
  if (service.error instanceof ApiError && service.error.status === 404) return <NotThere code={id} home="/services" title={said.services} />
  return (
    <Page title={name} query={service}
      crumbs={<Link to="/services" search={({ lang }) => ({ lang })}>{said.services}</Link>}
      summary={last && (
        <>
          {agency && <Link to="/agencies/$id" params={{ id: agency }} search={({ lang }) => ({ lang })}>{agencyName}</Link>}
          {last.values.kind && <> · {columns.value('kind', last.values.kind)}</>} · {said.code} {id} · <span className={last.in_force ? 'status on_course' : 'status none'}><span aria-hidden="true">{last.in_force ? '●' : '○'}</span> {last.in_force ? said.inForce : said.outOfForce}</span>
        </>
      )}
      actions={<Exports path={`/v1/services/${encodeURIComponent(id)}`} />}>
      {data && last && (
        <>
          <div className="two">
            <Facts service={data} columns={columns} />
            <History service={data} columns={columns} agencies={organisations.data} />
          </div>
          <Standing table="services" code={id} />
        </>
      )}
    </Page>
  )
}

function Facts({ service, columns }: { service: Service; columns: Columns }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const last = service.states[service.states.length - 1]!
  const isNumber = (v: string) => /^\d+(\.\d+)?$/.test(v)
  const say = (column: string, v: string) => (isNumber(v) ? (columns.unit(column) === 'minute' ? amount(Number(v), 'minutes', language) : number(Number(v), language, v.split('.')[1]?.length ?? 0)) : isDay(v) ? day(v, language) : columns.value(column, v))
  // Text that the pack has no words for stands as its source has it, in the pack's first language.
  const written = useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) }).data?.languages[0]
  const asWritten = (column: string, v: string) => written !== undefined && written !== language && /\p{Lu}|\s/u.test(v) && !columns.named(column, v)
  const rest = service.columns.filter((c) => c !== 'active' && c !== columns.agency)
  const flags = rest.filter((c) => service.states.some((s) => ['true', 'false'].includes(s.values[c] ?? '')))
  return (
    <section className="card" aria-labelledby="facts">
      <h2 id="facts">{said.facts}</h2>
      <dl className="facts">
        {flags.map((c) => <div key={c}><dt>{columns.title(c)}</dt><dd><Answer value={last.values[c]} /></dd></div>)}
        {rest.filter((c) => !flags.includes(c) && last.values[c]).map((c) => <div key={c}><dt>{columns.title(c)}</dt><dd>{asWritten(c, last.values[c]!) ? <><span lang={written}>{last.values[c]}</span> <small className="meta">({said.asWritten})</small></> : say(c, last.values[c]!)}</dd></div>)}
      </dl>
    </section>
  )
}

// History tells what changed, the newest first.
function History({ service, columns, agencies }: { service: Service; columns: Columns; agencies: Table | undefined }) {
  const said = useWordsOf(words)
  const all = useWords()
  const { language } = useVoice()
  const say = (column: string, v: string | undefined) => {
    if (v === undefined) return said.unknown
    if (v === 'true' || v === 'false') return v === 'true' ? said.yes : said.no
    if (column === columns.agency) return nameIn(agencies?.rows.find((row) => row.code === v)?.names, language, v)
    return isDay(v) ? shortDay(v, language) : columns.value(column, v)
  }
  return (
    <section className="card" aria-labelledby="history">
      <h2 id="history">{said.history}</h2>
      {service.states.length === 1 && <p className="meta">{said.historyOne}</p>}
      <ol className="timeline">
        {service.states.map((state, i) => {
          const before = service.states[i - 1]
          const changed = state.changed.filter((c) => c !== 'active')
          return (
            <li key={i} className={state.in_force ? undefined : 'out'}>
              <time dateTime={state.valid.from ?? undefined}>{state.valid.from ? day(state.valid.from, language) : '…'}</time>
              {state.simulated && <span className="tag">{all.simulatedShort}</span>}
              <ul>
                {!before && <li>{said.first}</li>}
                {before && before.in_force !== state.in_force && <li>{state.in_force ? said.returns : said.ends}</li>}
                {before && changed.map((c) => <li key={c}>{fill(said.became, { name: columns.title(c), was: say(c, before.values[c]), now: say(c, state.values[c]) })}</li>)}
              </ul>
            </li>
          )
        }).reverse()}
      </ol>
    </section>
  )
}

