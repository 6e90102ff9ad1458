import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import type { components } from '../../api/schema'
import { get, send } from '../../api/client'
import { dayOfMoment } from '../../format'
import { DataTable } from '../../parts/DataTable'
import { Dialog } from '../../parts/Dialog'
import { Empty, Failure, Fault, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { useTable } from '../places/data'
import css from './style.module.css'
import { words } from './words'

type Key = components['schemas']['Key']
type Made = components['schemas']['MadeKey']
type Role = components['schemas']['Role']

const roles: Role[] = ['source', 'leader', 'analyst', 'center', 'agency', 'operator']

// Keys lists the keys of programs, makes and ends them. A key itself is shown once.
export function Keys() {
  const said = useWordsOf(words)
  const shared = useWords()
  const { language, zone } = useVoice()
  const client = useQueryClient()
  const agencies = useTable('organisations').data?.rows
  const regions = useTable('regions').data?.rows
  const nameOf = (rows: typeof agencies, code: string | undefined) => code && nameIn(rows?.find((row) => row.code === code)?.names, language, code)
  const keys = useQuery({ queryKey: ['keys'], queryFn: ({ signal }) => get<{ keys: Key[] }>('/v1/keys', signal) })
  const [making, setMaking] = useState(false)
  const [ending, setEnding] = useState<Key>()
  const again = () => void client.invalidateQueries({ queryKey: ['keys'] })
  const end = useMutation({ mutationFn: (key: Key) => send<Key>('DELETE', `/v1/keys/${encodeURIComponent(key.id)}`), onSuccess: () => (setEnding(undefined), again()) })
  if (keys.isError) return <Failure error={keys.error} again={() => void keys.refetch()} />
  if (!keys.data) return <Skeleton rows={4} kind="row" />
  const on = (moment: string) => dayOfMoment(moment, zone, language)
  const state = (k: Key) => (k.revoked ? fill(said.ended, { day: on(k.revoked) }) : k.expires && Date.parse(k.expires) < Date.now() ? said.expired : said.works)
  return (
    <div className="page">
      <p><button type="button" className="main" onClick={() => setMaking(true)}>{said.make}</button></p>
      {keys.data.keys.length === 0 ? <Empty title={said.noKeys}><p>{said.noKeysHint}</p></Empty> : (
        <DataTable caption={said.keysCaption} rows={keys.data.keys} keyOf={(k) => k.id} columns={[
          { key: 'name', title: said.name, cell: (k) => k.name, order: (k) => k.name },
          { key: 'roles', title: said.roles, cell: (k) => k.roles.map((r) => shared.roles[r]).join(', ') },
          { key: 'scope', title: said.scope, cell: (k) => [nameOf(agencies, k.agency), nameOf(regions, k.region), ...(k.sources ?? []), ...(k.contracts ?? [])].filter(Boolean).join(', ') },
          { key: 'created', title: said.created, cell: (k) => on(k.created), order: (k) => k.created },
          { key: 'expires', title: said.expires, cell: (k) => (k.expires ? on(k.expires) : said.never), order: (k) => k.expires },
          { key: 'state', title: said.state, cell: (k) => state(k), order: state },
          { key: 'end', title: said.end, cell: (k) => !k.revoked && <button type="button" aria-label={`${said.end}: ${k.name}`} onClick={() => setEnding(k)}>{said.end}</button> },
        ]} />
      )}
      <Dialog open={making} onClose={() => setMaking(false)} title={said.make}><Form onMade={again} onDone={() => setMaking(false)} /></Dialog>
      <Dialog open={ending !== undefined} onClose={() => setEnding(undefined)} title={said.end}>
        {ending && (
          <div className={css.form}>
            <p>{fill(said.endSure, { name: ending.name })}</p>
            {end.isError && <Fault error={end.error} />}
            <p className="group"><button type="button" className="main" disabled={end.isPending} onClick={() => end.mutate(ending)}>{said.end}</button> <button type="button" onClick={() => setEnding(undefined)}>{said.keep}</button></p>
          </div>
        )}
      </Dialog>
    </div>
  )
}

function Form({ onMade, onDone }: { onMade: () => void; onDone: () => void }) {
  const said = useWordsOf(words)
  const shared = useWords()
  const [chosen, setChosen] = useState<Role[]>([])
  const [copied, setCopied] = useState(false)
  const make = useMutation({ mutationFn: (body: object) => send<Made>('POST', '/v1/keys', body), onSuccess: onMade })
  if (make.data) {
    return (
      <div className={css.form}>
        <p role="status">{fill(said.made, { name: make.data.name })}</p>
        <p><code>{make.data.key}</code></p>
        <p className="group"><button type="button" className="main" onClick={() => void navigator.clipboard.writeText(make.data.key).then(() => setCopied(true))}>{copied ? said.copied : said.copy}</button> <button type="button" onClick={onDone}>{said.done}</button></p>
      </div>
    )
  }
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const sources = text('sources').split(',').map((s) => s.trim()).filter(Boolean)
    make.mutate({
      name: text('name'), roles: chosen,
      ...(text('agency') && { agency: text('agency') }), ...(text('region') && { region: text('region') }), ...(sources.length && { sources }),
      ...(text('expires') && { expires: new Date(`${text('expires')}T23:59:59`).toISOString() }),
    })
  }
  const field = (name: string, label: string, more: object = {}) => <label>{label} <input name={name} autoComplete="off" {...more} /></label>
  return (
    <form className={css.form} onSubmit={submit}>
      {field('name', said.name, { required: true, placeholder: said.nameHint })}
      <fieldset>
        <legend>{said.roles}</legend>
        {roles.map((role) => (
          <label key={role}><input type="checkbox" checked={chosen.includes(role)} onChange={() => setChosen(chosen.includes(role) ? chosen.filter((r) => r !== role) : [...chosen, role])} /> {shared.roles[role]}</label>
        ))}
      </fieldset>
      {chosen.includes('source') && field('sources', said.sources, { required: true })}
      {chosen.includes('agency') && field('agency', said.agency, { required: true })}
      {field('region', said.region, { placeholder: said.optional })}
      {field('expires', said.expiresOn, { type: 'date' })}
      {make.isError && <Fault error={make.error} />}
      <p><button type="submit" className="main" disabled={make.isPending || chosen.length === 0}>{make.isPending ? said.making : said.make}</button></p>
    </form>
  )
}
