import { useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { useDeferredValue, useMemo } from 'react'
import { get, type Kpi } from '../../api/client'
import { found } from '../../fold'
import { number } from '../../format'
import { useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Empty } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { SearchField } from '../places/parts'
import '../places/places.css'
import css from './style.module.css'
import { words } from './words'

// DefinitionsPage is the catalogue: what every figure counts and on whose authority.
export default function DefinitionsPage() {
  const said = useWordsOf(words)
  const shared = useWords()
  const { language, labels } = useVoice()
  const { q = '' } = useSearch({ from: '__root__' })
  const change = useChange()
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal) })
  const sought = useDeferredValue(q)
  const all = kpis.data?.kpis ?? []
  const groups = useMemo(() => {
    const byGroup = new Map<string, Kpi[]>()
    for (const k of all) {
      if (found(sought, [...Object.values(k.title), ...Object.values(k.about), ...Object.values(k.owner_names), k.id]) === 0) continue
      byGroup.set(k.group, [...(byGroup.get(k.group) ?? []), k])
    }
    return [...byGroup]
  }, [all, sought])
  const shown = groups.reduce((n, [, list]) => n + list.length, 0)
  const counts = { n: number(shown, language), all: number(all.length, language) }
  return (
    <Page title={fill(shown < all.length ? said.some : said.finding, counts)} tab={said.title} summary={said.summary} query={kpis}
      filters={<SearchField label={said.search} value={q} onChange={(text) => change({ q: text || undefined })} />}>
      {shown === 0 && <Empty title={fill(said.none, { text: q })} />}
      {groups.map(([group, list]) => (
        <section key={group} aria-labelledby={`group-${group}`}>
          <h2 id={`group-${group}`}>{labels[`group.${group}`] ?? (group || shared.otherGroup)}</h2>
          <ul className={css.list}>{list.map((k) => <li key={k.id}><Definition kpi={k} /></li>)}</ul>
        </section>
      ))}
    </Page>
  )
}

function Definition({ kpi }: { kpi: Kpi }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  const { lang } = useSearch({ from: '__root__' })
  const own = kpi.versions.filter((v) => v.variant === '')
  const now = own.at(-1) ?? kpi.versions[0]!
  const rivals = new Set(kpi.versions.map((v) => v.variant).filter(Boolean)).size
  const better = said.downUp[kpi.direction]
  return (
    <article className={`card ${css.one}`}>
      <h3><Link to="/kpis/$id" params={{ id: kpi.id }} search={{ lang }}>{nameIn(kpi.title, language, kpi.id)}</Link></h3>
      <p>{nameIn(kpi.about, language)}</p>
      <p>{[said.basis[now.basis], better, rivals > 0 && fill(said.rivals, { n: rivals })].filter(Boolean).join(' · ')}</p>
      <dl>
        <dt>{said.formula}</dt><dd><code>{now.formula}</code></dd>
        <dt>{said.source}</dt><dd>{nameIn(now.source_names, language)}</dd>
        <dt>{said.owner}</dt><dd>{nameIn(kpi.owner_names, language, kpi.owner)}</dd>
        {kpi.dimensions.length > 0 && <><dt>{said.broken}</dt><dd>{kpi.dimensions.map((d) => nameIn(d.title, language, d.name)).join(', ')}</dd></>}
      </dl>
    </article>
  )
}
