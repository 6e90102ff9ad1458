import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import type { components } from '../../api/schema'
import { address, get } from '../../api/client'
import { localeOf, number } from '../../format'
import { DataTable } from '../../parts/DataTable'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, personName, useWords, useWordsOf } from '../../words'
import css from './style.module.css'
import { words } from './words'

type Log = components['schemas']['Audit']

interface Asked { text?: string; from?: string; to?: string; denied?: string; before?: string }

// Audit shows who asked for what, a page at a time, and gives all that fits as a file.
export function Audit() {
  const said = useWordsOf(words)
  const shared = useWords()
  const { language, zone } = useVoice()
  const [asked, setAsked] = useState<Asked>({})
  const log = useQuery({ queryKey: ['audit', asked], queryFn: ({ signal }) => get<Log>(address('/v1/audit', asked), signal), placeholderData: keepPreviousData, staleTime: 0 })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setAsked(Object.fromEntries([...form].map(([name, value]) => [name, String(value)]).filter(([, value]) => value !== '')))
  }
  const time = new Intl.DateTimeFormat(localeOf(language), { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
  const entries = log.data?.entries ?? []
  const last = entries.at(-1)?.number
  const { before: _, ...filter } = asked
  return (
    <div className={log.isPlaceholderData ? 'page refreshing' : 'page'} aria-busy={log.isFetching}>
      <form className={`filters ${css.log}`} onSubmit={submit}>
        <label>{said.text} <input name="text" type="search" /></label>
        <label>{said.from} <input name="from" type="date" /></label>
        <label>{said.to} <input name="to" type="date" /></label>
        <label className={css.check}><input name="denied" type="checkbox" value="true" /> {said.denied}</label>
        <button type="submit">{said.search}</button>
        <span className="group"><span className="label">{shared.export}</span>{['csv', 'xlsx'].map((format) => <a key={format} className="button" href={address('/v1/audit', { ...filter, limit: '10000', format })}>{format.toUpperCase()}</a>)}</span>
      </form>
      {log.isError ? <Failure error={log.error} again={() => void log.refetch()} /> : !log.data ? <Skeleton rows={8} kind="row" /> : entries.length === 0 ? <Empty title={said.noEntries} /> : (
        <>
          <DataTable caption={said.auditCaption} rows={entries} keyOf={(e) => String(e.number)} columns={[
            { key: 'time', title: said.time, cell: (e) => <span className={css.when}>{time.format(new Date(e.time))}</span> },
            { key: 'who', title: said.who, cell: (e) => <>{personName(e.name || e.who, shared)}{e.role && <small> {shared.roles[e.role as keyof typeof shared.roles] ?? e.role}</small>}</> },
            { key: 'action', title: said.action, cell: (e) => e.action },
            { key: 'object', title: said.object, cell: (e) => <code>{e.object}</code>, wide: true },
            { key: 'allowed', title: said.allowed, cell: (e) => (e.allowed ? said.yes : <span className="problem">■ {said.no}{e.why && `: ${e.why}`}</span>) },
          ]} />
          <p className="group">
            {asked.before && <button type="button" onClick={() => setAsked(filter)}>{said.newest}</button>}
            {last !== undefined && last > 1 && entries.length === 100 && <button type="button" onClick={() => setAsked({ ...filter, before: String(last) })}>{said.older}</button>}
          </p>
          <p className="caption">{fill(said.head, { number: number(log.data.head.number, language), code: log.data.head.code.slice(0, 16) })}</p>
        </>
      )}
    </div>
  )
}
