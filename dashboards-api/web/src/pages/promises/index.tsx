import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useRouter, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { address, get, type Published, type Targets } from '../../api/client'
import { useMay } from '../../api/me'
import { wasText } from '../../charts/was'
import { boundText, coverageText } from '../../finding'
import { amount, cellText, day, isoDayOfMoment, isOver, period } from '../../format'
import { Disputed } from '../../parts/Disputed'
import { Status } from '../../parts/Figures'
import { useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Empty, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import css from './style.module.css'
import { words } from './words'

const kinds = ['target', 'result', 'claim'] as const

// PromisesPage holds every published sentence beside the figure that was measured for its days.
export default function PromisesPage() {
  const said = useWordsOf(words)
  const shared = useWords()
  const { language, zone } = useVoice()
  const { on, known_on } = useSearch({ from: '__root__' })
  const change = useChange()
  const question = { on, known_on, lang: language }
  const targets = useQuery({
    queryKey: ['targets', question],
    queryFn: ({ signal }) => get<Targets>(address('/v1/targets', question), signal),
    placeholderData: keepPreviousData,
  })
  const data = targets.data
  const all = data?.targets ?? []
  const judged = all.filter((t) => verdict(t) === 'holds' || verdict(t) === 'fails')
  const title = judged.length ? fill(said.finding, { n: judged.filter((t) => verdict(t) === 'holds').length, all: judged.length }) : said.title
  return (
    <Page title={title} tab={said.title} query={targets} simulated={all.some((t) => t.cell?.simulated)}
      summary={<>{said.summary}{data?.on && ` ${fill(said.on, { day: day(data.on, language) })}.`}{data?.unserved != null && ` ${fill(said.unserved, { n: data.unserved })}.`}</>}
      waiting={<Skeleton rows={8} kind="row" />}>
      {known_on && (
        <p className="notice">{fill(said.asKnown, { day: day(known_on, language) })}{!isOver(known_on, zone) && ` ${shared.dayNotOver}`} <button type="button" className="link" onClick={() => change({ known_on: undefined })}>{said.now}</button></p>
      )}
      {data && all.length === 0 && <Empty title={said.none} />}
      {data && kinds.map((kind) => {
        const list = all.filter((t) => t.kind === kind)
        return list.length > 0 && (
          <section key={kind} aria-labelledby={kind}>
            <h2 id={kind}>{said.kinds[kind]}</h2>
            <p className={css.about}>{said.kindsAbout[kind]}</p>
            <ul className={css.list}>{list.map((t, i) => <li key={`${t.kpi} ${t.variant} ${i}`}><Sentence one={t} /></li>)}</ul>
          </section>
        )
      })}
    </Page>
  )
}

// verdict is whether a sentence holds: a target that was reached or missed, a result or claim
// that is borne out or not; else that nothing can be said, or nothing was measured.
function verdict(t: Published): 'holds' | 'fails' | 'unjudged' | 'unmeasured' {
  if (t.kind === 'target') return t.status === 'reached' ? 'holds' : t.status === 'missed' ? 'fails' : t.status === 'unmeasured' ? 'unmeasured' : 'unjudged'
  if (t.holds !== null) return t.holds ? 'holds' : 'fails'
  return !t.cell || t.cell.value === null ? 'unmeasured' : 'unjudged'
}

const marks = { holds: '✓', fails: '≠', unjudged: '○', unmeasured: '○' }

function Sentence({ one }: { one: Published }) {
  const shared = useWords()
  const said = useWordsOf(words)
  const voice = useVoice()
  const may = useMay()
  const { language, labels } = voice
  const where = Object.entries(one.where).map(([by, code]) => labels[`value.${by}.${code}`] ?? code).join(', ')
  const cell = one.cell
  const judged = verdict(one)
  const figure = one.comparator === 'up_to' && one.measured !== null ? amount(one.measured, one.unit, language, labels) : cell ? cellText(cell, one.unit, language, labels) : shared.cannotCompute
  const notes = [cell && period(cell.period, language), where && fill(said.of, { where }), one.comparator === 'up_to' && one.measured !== null && said.max, coverageText(cell?.coverage ?? null, voice), cell?.corrected && fill(said.corrected, { day: day(cell.corrected, language), value: wasText(cell, one.unit, voice, '{value}') })].filter(Boolean)
  const check = nameIn(one.check, language)
  const act = nameIn(one.act_names, language, one.act)
  return (
    <article className={css.sentence}>
      <div>
        <blockquote lang={one.wording_names[language] ? language : one.language}>{nameIn(one.wording_names, language, one.wording)}</blockquote>
        <p className={css.source}>
          {one.url ? <a href={one.url} rel="noreferrer">{act}</a> : act}
          {one.in_force && ` · ${fill(said.inForce, { day: day(one.in_force, language) })}`}
          {` · ${nameIn(one.owner_names, language, one.owner)}`}
        </p>
        {one.language !== language && one.wording_names[language] && <p className={css.check}>{fill(said.translated, { language: said.from[one.language as keyof typeof said.from] ?? one.language })} <q lang={one.language}>{one.wording}</q></p>}
        {check && <p className={css.check}>{check}</p>}
        {one.kind === 'target' && one.projects && may('GET /v1/projects') && <p className={css.check}>{one.projects.length ? fill(said.projects, { n: one.projects.length }) : said.noProjects}</p>}
      </div>
      <dl>
        <div><dt>{said.published}</dt><dd><b className={one.value === null ? css.without : undefined}>{one.value === null ? said.noNumber : boundText(one, one.unit, voice)}</b>{one.due && one.due_stated && <small>{fill(shared.due, { day: day(one.due, language) })}</small>}</dd></div>
        <div>
          <dt>{said.measured}</dt>
          <dd>
            <b className={cell?.value == null ? css.without : undefined}>{figure}</b>
            <Disputed kpi={one.kpi} cell={cell} where={days(one).where} />
            <small><Link to="/kpis/$id" params={{ id: one.kpi }} search={({ lang, known_on }) => ({ lang, known_on, ...days(one) })} className="name">{nameIn(one.title, language, one.kpi)}</Link></small>
            {notes.length > 0 && <small>{notes.join(' · ')}</small>}
            {!cell && one.problem && <p>{one.problem}</p>}
            {cell && <Permanent one={one} />}
          </dd>
        </div>
        <div className={css[judged]}>
          <dt>{said.verdict}</dt>
          <dd>{one.kind === 'target' && one.status !== 'unmeasured' ? <><Status target={one} />{one.words && <small>{one.words}</small>}</> : <span><span aria-hidden="true">{marks[judged]}</span> {said[judged]}</span>}</dd>
        </div>
      </dl>
    </article>
  )
}

const days = (one: Published) => ({ from: one.cell?.from ?? undefined, to: one.cell?.to ?? undefined, where: Object.keys(one.where).length ? Object.entries(one.where).map(([by, code]) => `${by}=${code}`) : undefined })

// Permanent copies the address at which the figure will always be found as it is known today.
function Permanent({ one }: { one: Published }) {
  const shared = useWords()
  const said = useWordsOf(words)
  const { language, zone } = useVoice()
  const router = useRouter()
  const asked = useSearch({ from: '__root__' }).known_on
  const [copied, setCopied] = useState(false)
  const known = asked ?? isoDayOfMoment(new Date().toISOString(), zone)
  const copy = () => {
    const { href } = router.buildLocation({ to: '/kpis/$id', params: { id: one.kpi }, search: { ...days(one), known_on: known } })
    void navigator.clipboard.writeText(location.origin + href).then(() => setCopied(true))
  }
  const still = isOver(known, zone) ? '' : shared.dayNotOver
  return (
    <small>
      <button type="button" className="link" title={still || fill(said.permanentWhy, { day: day(known, language) })} onClick={copy}>{copied ? said.permanentCopied : said.permanent}</button>
      <span role="status">{copied && still && ` ${still}`}</span>
    </small>
  )
}
