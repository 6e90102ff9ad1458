import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useDeferredValue, useEffect, useId, useMemo, useState } from 'react'
import { address, get, type Kpi, type ProjectList, type Table } from '../api/client'
import { type Route, useMay } from '../api/me'
import { found } from '../fold'
import { useVoice } from '../voice'
import { fill, nameIn, useWords, type Words } from '../words'
import { Dialog } from './Dialog'

type Area = 'kpis' | 'services' | 'agencies' | 'regions' | 'projects'

interface Hit {
  area: Area
  id: string
  name: string
  beside: string // what tells it from others of its name
  rank: number
}

const most = 6 // of each area

// Finder finds figures, services, agencies, regions and projects by any of their names. It is
// opened by "/" and led by the arrow keys.
export function Finder({ open, onClose }: { open: boolean; onClose: () => void }) {
  const words = useWords()
  return (
    <Dialog open={open} onClose={onClose} title={words.searchAll}>
      <Inside onClose={onClose} />
    </Dialog>
  )
}

function useTable(path: string, route: Route) {
  const may = useMay()
  return useQuery({ queryKey: [path.slice('/v1/'.length)], queryFn: ({ signal }) => get<Table>(path, signal), enabled: may(route), retry: false }).data
}

function useHits(text: string): { hits: Hit[]; busy: boolean } {
  const { language } = useVoice()
  const may = useMay()
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal), enabled: may('GET /v1/kpis') })
  const services = useTable('/v1/services', 'GET /v1/services')
  const agencies = useTable('/v1/organisations', 'GET /v1/organisations')
  const regions = useTable('/v1/regions', 'GET /v1/regions')
  const asked = text.trim()
  const projects = useQuery({
    queryKey: ['projects', 'named', asked],
    queryFn: ({ signal }) => get<ProjectList>(address('/v1/projects', { q: asked, limit: String(most) }), signal),
    enabled: asked.length > 1 && may('GET /v1/projects'), placeholderData: keepPreviousData, retry: false,
  })
  const hits = useMemo(() => {
    const agency = new Map((agencies?.rows ?? []).map((row) => [row.code, nameIn(row.names, language, row.code)]))
    const best = (area: Area, list: Omit<Hit, 'area'>[]) =>
      list.filter((h) => h.rank > 0).sort((a, b) => b.rank - a.rank || a.name.localeCompare(b.name, language)).slice(0, text ? most : area === 'kpis' ? 12 : 0).map((h) => ({ ...h, area }))
    const rows = (table: Table | undefined) =>
      (table?.rows ?? []).map((row) => ({
        id: row.code, name: nameIn(row.names, language, row.code), beside: agency.get(row.values.agency ?? row.parent) ?? '', rank: found(text, [row.code, ...Object.values(row.names)]),
      }))
    return [
      ...best('kpis', (kpis.data?.kpis ?? []).map((k) => ({ id: k.id, name: nameIn(k.title, language, k.id), beside: nameIn(k.owner_names, language, k.owner), rank: found(text, [k.id, ...Object.values(k.title)]) }))),
      ...best('services', rows(services)), ...best('agencies', rows(agencies)), ...best('regions', rows(regions)),
      ...best('projects', (projects.data?.projects ?? []).map((p) => ({ id: p.id, name: p.name, beside: agency.get(p.agency) ?? p.agency, rank: asked.length > 1 ? 1 : 0 }))),
    ]
  }, [text, asked, language, kpis.data, services, agencies, regions, projects.data])
  return { hits, busy: kpis.isPending || projects.isFetching }
}

const headings = (words: Words): Record<Area, string> => ({ kpis: words.figures, services: words.sections.services, agencies: words.sections.agencies, regions: words.sections.regions, projects: words.sections.projects })

function Inside({ onClose }: { onClose: () => void }) {
  const words = useWords()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useId()
  const read = useDeferredValue(text)
  const { hits, busy } = useHits(read)
  const chosen = Math.min(at, hits.length - 1)
  const areas = [...new Set(hits.map((h) => h.area))]
  const title = headings(words)
  const go = (hit: Hit | undefined) => {
    if (!hit) return
    onClose()
    void navigate({ to: `/${hit.area}/$id`, params: { id: hit.id }, search: ({ lang }) => ({ lang }) })
  }
  // Who types faster than the list follows means what is typed, not what the list still shows.
  const [entered, setEntered] = useState(false)
  const ready = read === text && (hits.length > 0 || !busy)
  useEffect(() => {
    if (!entered || !ready) return
    setEntered(false)
    go(hits[chosen])
  })
  const choose = (to: number) => {
    setAt(Math.max(0, Math.min(to, hits.length - 1)))
    document.getElementById(`${list}-${to}`)?.scrollIntoView({ block: 'nearest' })
  }
  return (
    <div className="finder">
      <input type="search" role="combobox" aria-expanded={hits.length > 0} aria-controls={list} aria-autocomplete="list" aria-label={words.searchAll} placeholder={words.searchPlace}
        aria-activedescendant={hits[chosen] ? `${list}-${chosen}` : undefined} value={text} autoComplete="off" spellCheck={false}
        // React takes autoFocus for itself; showModal looks for the attribute.
        ref={(input) => input?.setAttribute('autofocus', '')}
        onChange={(event) => {
          setText(event.target.value)
          setEntered(false)
          setAt(0)
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowDown') choose(chosen + 1)
          else if (event.key === 'ArrowUp') choose(chosen - 1)
          else if (event.key === 'Enter') setEntered(true)
          else if (event.key === 'Escape') onClose() // the browser would only empty the field
          else return
          event.preventDefault()
        }} />
      <div id={list} role="listbox" aria-label={words.searchAll} className="hits">
        {areas.map((area) => (
          <div key={area} role="group" aria-labelledby={`${list}-${area}`}>
            <h3 id={`${list}-${area}`} role="presentation">{title[area]}</h3>
            {hits.map((hit, i) => hit.area === area && (
              <div key={hit.id} id={`${list}-${i}`} role="option" aria-selected={i === chosen} onClick={() => go(hit)}>
                <b>{hit.name}</b> {hit.beside && <span>{hit.beside}</span>}
              </div>
            ))}
          </div>
        ))}
      </div>
      {!busy && hits.length === 0 && <p role="status" className="caption">{fill(words.searchNone, { text })}</p>}
    </div>
  )
}
