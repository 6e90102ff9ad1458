import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useId, useState } from 'react'
import { get, type Kpi } from '../api/client'
import { useVoice } from '../voice'
import { fill, nameIn, useWords } from '../words'
import { Dialog } from './Dialog'

export function KeysDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const words = useWords()
  const rows: [string, string][] = [['/', words.keysSearch], ['g s', words.keysScorecard], ['?', words.keysHelp], ['Esc', words.keysClose]]
  return (
    <Dialog open={open} onClose={onClose} title={words.keys}>
      <dl className="keys">{rows.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
    </Dialog>
  )
}

// fold makes two spellings of a name alike: case, the apostrophes of Uzbek, accents.
export const fold = (text: string) => text.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f'ʻʼ‘’`]/g, '')

export function SearchDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const words = useWords()
  return (
    <Dialog open={open} onClose={onClose} title={words.searchAll}>
      <Finder onClose={onClose} />
    </Dialog>
  )
}

function Finder({ onClose }: { onClose: () => void }) {
  const words = useWords()
  const { language } = useVoice()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useId()
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal) })
  const sought = fold(text)
  const hits = (kpis.data?.kpis ?? []).filter((k) => [k.id, ...Object.values(k.title)].some((name) => fold(name).includes(sought))).slice(0, 12)
  const chosen = Math.min(at, hits.length - 1)
  const go = (kpi: Kpi | undefined) => {
    if (!kpi) return
    onClose()
    void navigate({ to: '/kpis/$id', params: { id: kpi.id }, search: ({ lang }) => ({ lang }) })
  }
  return (
    <div className="finder">
      <input type="search" role="combobox" aria-expanded={hits.length > 0} aria-controls={list} aria-autocomplete="list" aria-label={words.searchAll}
        aria-activedescendant={hits[chosen] ? `${list}-${hits[chosen].id}` : undefined} value={text}
        // React takes autoFocus for itself; showModal looks for the attribute.
        ref={(input) => input?.setAttribute('autofocus', '')}
        onChange={(event) => {
          setText(event.target.value)
          setAt(0)
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowDown') setAt(Math.min(chosen + 1, hits.length - 1))
          else if (event.key === 'ArrowUp') setAt(Math.max(chosen - 1, 0))
          else if (event.key === 'Enter') go(hits[chosen])
          else return
          event.preventDefault()
        }} />
      <ul id={list} role="listbox" aria-label={words.searchAll}>
        {hits.map((k, i) => (
          <li key={k.id} id={`${list}-${k.id}`} role="option" aria-selected={i === chosen} onClick={() => go(k)}>
            <b>{nameIn(k.title, language, k.id)}</b> <span>{nameIn(k.owner_names, language, k.owner)}</span>
          </li>
        ))}
      </ul>
      {kpis.data && hits.length === 0 && <p role="status">{fill(words.searchNone, { text })}</p>}
    </div>
  )
}
