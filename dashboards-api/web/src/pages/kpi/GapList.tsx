import { memo } from 'react'
import type { Kpi } from '../../api/client'
import { number } from '../../format'
import { DataTable } from '../../parts/DataTable'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { gapText, verdictText } from '../../parts/Figures'
import { type Gap, useKpi } from './question'
import style from './style.module.css'
import { words as allWords } from './words'

const shownAtFirst = 10

// GapList is what keeps the figure from its target, one by one, with who answers for each.
export const GapList = memo(function GapList({ kpi, gap }: { kpi: Kpi; gap: Gap }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const { language } = voice
  const ranking = useKpi(gap.ranked_by || kpi.id).data
  if (!gap.entries.length) return null
  const owner = (code: string) => (code === '' ? words.notTold : nameIn(gap.owners[code], language, code))
  const nameOf = (code: string) => nameIn(gap.names[code], language, voice.labels[`value.${gap.by}.${code}`] ?? code)
  const count = (v: number | null) => (v === null ? '' : number(v, language))
  const owners = new Map<string, number>()
  for (const e of gap.entries) owners.set(e.owner, (owners.get(e.owner) ?? 0) + (e.missing ?? 1))
  const most = [...owners].sort((a, b) => b[1] - a[1]).slice(0, 5)
  const owned = gap.entries.some((e) => e.owner !== '') // else there is nobody to tell apart
  const byCases = gap.entries.some((e) => e.missing !== null && e.missing !== 1)
  const dimension = kpi.dimensions.find((d) => d.name === gap.by)
  return (
    <section aria-labelledby="gap" className={`card ${style.onlyScreen}`}>
      <div className="section-head"><h2 id="gap">{said.gap}</h2></div>
      <p className="says">
        {gap.target ? `${(gap.cell && verdictText(gap.target, gap.cell, gap.unit, voice)) || gapText(gap.target, gap.unit, language, words)} · ${nameIn(gap.target.act_names, language, gap.target.act)}. ` : said.gapNoTarget + ' '}
        {fill(said.gapTotal, { shown: number(Math.min(gap.entries.length, gap.total), language), all: number(gap.total, language) })}
        {gap.hidden > 0 && ` ${fill(said.gapHidden, { n: number(gap.hidden, language) })}`}
      </p>
      {owned && <p className="meta">{said.gapOwners}: {most.map(([code, n]) => `${owner(code)} ${number(n, language)}`).join(' · ')}</p>}
      <DataTable caption={said.gap} rows={gap.entries} keyOf={(e) => e.code} most={shownAtFirst} more={(n) => fill(said.more, { n })}
        columns={[
          { key: 'name', title: nameIn(dimension?.title, language, voice.labels[`dimension.${gap.by}`] ?? words.by), wide: true, cell: (e) => <>{nameOf(e.code)}{!e.told && <small> · {said.notTold}</small>}{owned && <small className={style.under}>{owner(e.owner)}</small>}</>, order: (e) => nameOf(e.code) },
          ...(owned ? [{ key: 'owner', title: words.owner, minor: true, cell: (e: Gap['entries'][number]) => owner(e.owner), order: (e: Gap['entries'][number]) => owner(e.owner) }] : []),
          ...(byCases ? [{ key: 'missing', title: said.missing, number: true, cell: (e: Gap['entries'][number]) => count(e.missing), order: (e: Gap['entries'][number]) => e.missing }] : []),
          ...(gap.ranked_by ? [{ key: 'weight', title: fill(said.weight, { name: nameIn(ranking?.title, language, gap.ranked_by) }), number: true, cell: (e: Gap['entries'][number]) => count(e.weight), order: (e: Gap['entries'][number]) => e.weight }] : []),
        ]} />
    </section>
  )
})
