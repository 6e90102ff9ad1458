import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type ReactNode, useId, useState } from 'react'
import { get, type Labels, type Table } from '../api/client'
import { period } from '../format'
import { choices } from '../period'
import type { Search } from '../search'
import { useNarrow } from '../screen'
import { useVoice } from '../voice'
import { fill, nameIn, useWords } from '../words'
import { Dialog } from './Dialog'

// useChange writes parts of the address; undefined takes a part out.
export function useChange() {
  const navigate = useNavigate()
  return (part: Search) => void navigate({ to: '.', search: (old: Search) => ({ ...old, ...part }), resetScroll: false })
}

// Filters stand in a row; on a phone in a sheet that a button opens, and which stays open while
// they are chosen; the button says what is shown.
export function Filters({ shown, children }: { shown: string; children: ReactNode }) {
  const words = useWords()
  const narrow = useNarrow()
  const [open, show] = useState(false)
  if (!narrow) return children
  return (
    <>
      <button type="button" aria-expanded={open} onClick={() => show(true)}>{shown} <span aria-hidden="true">▾</span><span className="spoken">{words.filters}</span></button>
      <Dialog open={open} onClose={() => show(false)} title={words.filters} sheet><div className="filters in-sheet">{children}</div></Dialog>
    </>
  )
}

// PeriodFilter offers whole years, the last twelve months, quarters, and any days.
export function PeriodFilter({ from, to, through, open }: { from: string | undefined; to: string | undefined; through: string; open: string }) {
  const words = useWords()
  const { language } = useVoice()
  const change = useChange()
  const id = useId()
  const list = choices(through)
  const current = list.find((c) => c.from === from && c.to === to)
  const [custom, setCustom] = useState(false)
  const own = custom || (!current && (from !== undefined || to !== undefined))
  return (
    <div className="filter">
      <label htmlFor={id}>{words.period}</label>
      <select id={id} value={own ? 'custom' : (current?.key ?? '')}
        onChange={(event) => {
          const key = event.target.value
          setCustom(key === 'custom')
          if (key === 'custom') return
          const c = list.find((one) => one.key === key)
          change({ from: c?.from, to: c?.to })
        }}>
        <option value="">{open}</option>
        {list.map((c) => (
          <option key={c.key} value={c.key}>
            {c.kind === 'year' ? fill(words.wholeYear, { year: c.key }) : c.kind === 'last' ? words.lastYear : period(c.key, language)}
          </option>
        ))}
        <option value="custom">{words.custom}</option>
      </select>
      {own && (
        <span className="days">
          <label>{words.from} <input type="date" defaultValue={from} max={to} onBlur={(e) => change({ from: e.target.value || undefined })} /></label>
          <label>{words.to} <input type="date" defaultValue={to} min={from} onBlur={(e) => change({ to: e.target.value || undefined })} /></label>
        </span>
      )}
    </div>
  )
}

function useRegions() {
  const labels = useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) })
  return useQuery({
    queryKey: ['regions'],
    queryFn: ({ signal }) => get<Table>('/v1/regions', signal),
    enabled: labels.data?.tables.includes('regions') ?? false,
  })
}

// useParts names the parts that filters leave, so that none is taken for the whole; empty: the whole.
export function useParts(where: string[] | undefined): string {
  const { language, labels } = useVoice()
  const regions = useRegions()
  return (where ?? []).map((text) => {
    const [dimension, code] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]
    const region = dimension === 'region' ? regions.data?.rows.find((row) => row.code === code) : undefined
    return region ? nameIn(region.names, language, code) : (labels[`value.${dimension}.${code}`] ?? code)
  }).join(', ')
}

// RegionFilter narrows the scorecard to one region; a pack without regions has none.
export function RegionFilter({ where }: { where: string[] | undefined }) {
  const words = useWords()
  const { language } = useVoice()
  const change = useChange()
  const id = useId()
  const regions = useRegions()
  if (!regions.data) return null
  const chosen = where?.find((w) => w.startsWith('region='))?.slice('region='.length) ?? ''
  const rows = regions.data.rows
    .map((row) => ({ code: row.code, name: nameIn(row.names, language, row.code) }))
    .sort((a, b) => a.name.localeCompare(b.name, language))
  return (
    <div className="filter">
      <label htmlFor={id}>{words.region}</label>
      <select id={id} value={chosen} onChange={(event) => change({ where: event.target.value ? [`region=${event.target.value}`] : undefined })}>
        <option value="">{words.allRegions}</option>
        {rows.map((row) => <option key={row.code} value={row.code}>{row.name}</option>)}
      </select>
    </div>
  )
}

// Choose is a choice of one of several; a value from the address that is none of them is told.
export function Choose({ label, value, options, onChange }: { label: string; value: string; options: [string, string][]; onChange: (value: string) => void }) {
  const words = useWords()
  const id = useId()
  const strange = value !== '' && !options.some(([key]) => key === value)
  return (
    <div className="filter">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        {strange && <option value={value}>{value}</option>}
        {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
      {strange && <small className="problem">{fill(words.notAmong, { value })}</small>}
    </div>
  )
}
