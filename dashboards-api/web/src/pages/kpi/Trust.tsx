import { useQueries, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { memo, useState } from 'react'
import { address, get, type Kpi, valuesPath, type Values, type Version } from '../../api/client'
import { useMay } from '../../api/me'
import type { components } from '../../api/schema'
import { wasText } from '../../charts/was'
import { boundText } from '../../finding'
import { day, dayOfMoment, number, plain } from '../../format'
import { Figure } from '../../parts/Figures'
import { Fault, Skeleton } from '../../parts/States'
import type { Search } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { type Asked, type Findings, type Quality, type Sql, useAbout } from './question'
import { Replies } from './Replies'
import style from './style.module.css'
import { words as allWords } from './words'

type Status = components['schemas']['Status']
type Answers = components['schemas']['Replies']

// Trust is what a reader needs to believe the figure or to doubt it: what it means, by whom,
// who reported, what is wrong with the data, the rows, what was said in public.
export const Trust = memo(function Trust({ kpi, asked, whole, replies }: { kpi: Kpi; asked: Asked; whole: Values | undefined; replies: Answers | undefined }) {
  const said = useWordsOf(allWords)
  const may = useMay()
  return (
    <section aria-labelledby="trust" className={`card ${style.trust} ${style.onlyScreen}`}>
      <h2 id="trust">{said.trust}</h2>
      <div className={style.columns}>
        <Definition kpi={kpi} asked={asked} whole={whole} />
        <div>
          <Coverage kpi={kpi} asked={asked} whole={whole} senders={may('GET /v1/quality')} />
          {may('GET /v1/quality/findings') && <WrongWith asked={asked} />}
        </div>
      </div>
      {kpi.versions.length > 1 && <Variants kpi={kpi} asked={asked} />}
      {kpi.targets.length > 0 && <Published kpi={kpi} />}
      <Replies kpi={kpi} values={whole} answer={replies} />
      {!asked.alone && may('GET /v1/kpis/{id}/sql') && <Query kpi={kpi} asked={asked} />}
    </section>
  )
})

// variantOf is what the pack calls a rival definition.
const variantOf = (id: string, labels: Record<string, string>) => labels[`variant.${id}`] ?? id

function Definition({ kpi, asked, whole }: { kpi: Kpi; asked: Asked; whole: Values | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const { language, labels } = useVoice()
  const v = kpi.versions.find((o) => o.version === whole?.version && o.variant === (whole.variant ?? '')) ?? asked.version
  const rows: [string, string][] = [
    [words.formula, v.formula],
    [words.basis, `${words.bases[v.basis as keyof typeof words.bases] ?? v.basis}: ${v.from.join(', ')}`],
    [words.version, [String(v.version), v.variant && variantOf(v.variant, labels)].filter(Boolean).join(' · ')],
    [words.validity, v.valid.from ? fill(words.since, { day: day(v.valid.from, language) }) : ''],
    [words.source, nameIn(v.source_names, language)],
    [words.owner, nameIn(kpi.owner_names, language, kpi.owner)],
  ]
  return (
    <div>
      <h3>{words.definition}</h3>
      <p>{nameIn(kpi.about, language)}</p>
      <dl className="definition">
        {rows.filter(([, text]) => text).map(([name, text]) => (
          <div key={name}><dt>{name}</dt><dd>{name === words.formula ? <code>{text}</code> : text}</dd></div>
        ))}
      </dl>
      <p className="meta">
        {fill(said.periodsNote, { list: asked.grains.map((g) => said.grains[g as keyof typeof said.grains] ?? g).join(', ') })}
        {v.matures > 0 && <> {fill(said.matures, { n: v.matures })}</>}
        {whole && !whole.definition.exact && <> {fill(words.approximate, { error: `±${whole.definition.error ?? 1}` })}</>}
      </p>
      {whole?.notes?.map((note) => <p key={note} className="meta">{note}</p>)}
    </div>
  )
}

// ofKpi says whether an event type is one that a definition counts: from says "request.decided"
// or "request.decided.v1".
const ofKpi = (v: Version, type: string) => v.from.some((from) => type === from || type.endsWith('.' + from) || new RegExp(`(^|\\.)${from.replaceAll('.', '\\.')}\\.v\\d+$`).test(type))

function Coverage({ kpi, asked, whole, senders }: { kpi: Kpi; asked: Asked; whole: Values | undefined; senders: boolean }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const quality = useQuery({ queryKey: ['quality'], queryFn: ({ signal }) => get<Quality>('/v1/quality', signal), enabled: senders })
  const status = useQuery({ queryKey: ['status'], queryFn: ({ signal }) => get<Status>('/v1/status', signal), enabled: senders })
  const cell = whole?.cells[0]
  const coverage = cell?.coverage ?? whole?.coverage
  const titleOf = (source: string) => {
    const played = source.startsWith('simulation/') // in place of the source that is named behind it
    const named = nameIn(status.data?.sources.find((s) => s.source === (played ? source.slice('simulation/'.length) : source))?.title, voice.language, source)
    return played ? `${named} · ${words.simulatedShort}` : named
  }
  const facts = [
    coverage ? coverage.words.charAt(0).toUpperCase() + coverage.words.slice(1) + '.' : '',
    cell?.unclosed?.length ? fill(said.unclosed, { names: cell.unclosed.map(titleOf).join(', ') }) : '',
    cell?.open ? said.stillOpen : cell?.closed ? fill(said.closedOn, { day: day(cell.closed, voice.language) }) : '',
    cell?.corrected ? fill(said.correctedOn, { day: day(cell.corrected, voice.language), value: wasText(cell, kpi.unit, voice, '{value}') }) : '',
  ].filter(Boolean)
  const rows = quality.data?.rows.filter((r) => ofKpi(asked.version, r.type) && (r.accepted > 0 || r.last_event || r.quarantine_open > 0)) ?? []
  return (
    <div>
      <h3>{said.coverage}</h3>
      <p>{facts.join(' ')}</p>
      {rows.length > 0 && (
        <div className="scroll" tabIndex={0} role="group" aria-label={said.coverage}>
          <table className="plain">
            <thead><tr><th scope="col">{said.sender}</th><th scope="col" className="number">{said.events}</th><th scope="col">{said.newest}</th><th scope="col" className="number">{said.held}</th><th scope="col">{said.fresh}</th></tr></thead>
            <tbody>
              {rows.map((r) => (
                <tr key={r.source + r.type}>
                  <th scope="row">{titleOf(r.source)}</th>
                  <td className="number">{number(r.accepted, voice.language)}</td>
                  <td>{r.last_event ? dayOfMoment(r.last_event, voice.zone, voice.language) : words.noData}</td>
                  <td className="number">{number(r.quarantine_open, voice.language)}</td>
                  <td>{r.promise_seconds === 0 ? said.noPromise : r.late ? said.late : said.inTime}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}

const mostFindings = 5

function WrongWith({ asked }: { asked: Asked }) {
  const said = useWordsOf(allWords)
  const { language } = useVoice()
  const findings = useQuery({ queryKey: ['findings'], queryFn: ({ signal }) => get<Findings>('/v1/quality/findings', signal) })
  const found = findings.data?.findings.filter((f) => f.type !== '' && ofKpi(asked.version, f.type)) ?? []
  return (
    <div>
      <h3>{said.findings}</h3>
      {!findings.data ? <Skeleton rows={2} kind="row" /> : found.length === 0 ? <p>{said.findingsNone}</p> : (
        <ul className={style.findings}>
          {found.slice(0, mostFindings).map((f) => (
            <li key={f.source + f.type + f.rule + f.period}>
              <span className={`status ${f.severity === 'error' ? 'missed' : f.severity === 'warning' ? 'at_risk' : 'open'}`}><span aria-hidden="true">{f.severity === 'error' ? '■' : f.severity === 'warning' ? '▲' : '○'}</span> {said.severity[f.severity as keyof typeof said.severity]}</span> {plain(nameIn(f.words, language), language)}
            </li>
          ))}
        </ul>
      )}
      {found.length > mostFindings && <p className="meta"><Link to="/quality" search={({ lang }) => ({ lang })}>{fill(said.more, { n: found.length - mostFindings })}</Link></p>}
    </div>
  )
}

// Variants holds all definitions of the figure side by side, each with its value for the same
// period and filters.
function Variants({ kpi, asked }: { kpi: Kpi; asked: Asked }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const { language, labels } = useVoice()
  const { search } = asked
  const answers = useQueries({
    queries: kpi.versions.map((v) => {
      const question = { ...asked.scope, version: String(v.version), variant: v.variant || undefined }
      return { queryKey: ['values', kpi.id, question], queryFn: ({ signal }: { signal: AbortSignal }) => get<Values>(address(valuesPath(kpi.id), question), signal), retry: false }
    }),
  })
  return (
    <div>
      <h3>{said.variants}</h3>
      <div className="scroll" tabIndex={0} role="group" aria-label={said.variants}>
        <table className={`plain ${style.variants}`}>
          <thead><tr><th scope="col">{words.definition}</th><th scope="col">{words.formula}</th><th scope="col">{words.source}</th><th scope="col" className="number">{words.value}</th></tr></thead>
          <tbody>
            {kpi.versions.map((v, i) => {
              const data = answers[i]?.data
              const shown = v.version === asked.version.version && v.variant === asked.version.variant
              const name = v.variant ? fill(said.variantNamed, { name: variantOf(v.variant, labels), version: v.version }) : fill(said.variantDefault, { version: v.version })
              return (
                <tr key={name}>
                  <th scope="row">
                    {shown ? <b>{name}</b> : <Link to="." resetScroll={false} title={said.variantUse} search={(old: Search) => ({ ...old, variant: v.variant || undefined, version: String(v.version) })}>{name}</Link>}
                    {search.known_on === undefined && v.valid.from && <small> · {fill(words.since, { day: day(v.valid.from, language) })}</small>}
                  </th>
                  <td><code>{v.formula}</code></td>
                  <td>{nameIn(v.source_names, language)}</td>
                  <td className="number">{data?.cells[0] ? <Figure cell={data.cells[0]} unit={data.unit} /> : answers[i]?.error ? <Fault error={answers[i].error} /> : '…'}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </div>
  )
}

function Published({ kpi }: { kpi: Kpi }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  return (
    <div>
      <h3>{said.published}</h3>
      <ul className="published">
        {kpi.targets.map((t, i) => (
          <li key={i}>
            <b>{words.kinds[t.kind]}: {boundText(t, kpi.unit, voice)}</b> <q>{nameIn(t.wording_names, voice.language, t.wording)}</q>{' '}
            <cite>{t.url ? <a href={t.url} rel="noreferrer">{nameIn(t.act_names, voice.language, t.act)}</a> : nameIn(t.act_names, voice.language, t.act)}</cite>
            {t.in_force && <>, {fill(said.inForce, { day: day(t.in_force, voice.language) })}</>}
            {nameIn(t.check, voice.language) && <small> · {said.check}: {nameIn(t.check, voice.language)}</small>}
          </li>
        ))}
      </ul>
    </div>
  )
}

function Query({ kpi, asked }: { kpi: Kpi; asked: Asked }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const [open, setOpen] = useState(false)
  const [copied, setCopied] = useState(false)
  const sql = useAbout<Sql>(kpi.id, 'sql', asked.scope, open)
  return (
    <details className={style.sql} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{said.sql}</summary>
      {open && (sql.isError ? <Fault error={sql.error} /> : !sql.data ? <Skeleton rows={3} kind="row" /> : (
        <>
          <button type="button" onClick={() => void navigator.clipboard.writeText(sql.data.sql).then(() => setCopied(true))}>{copied ? `✓ ${words.copied}` : said.sqlCopy}</button>
          <pre tabIndex={0} aria-label={said.sql}><code>{sql.data.sql}</code></pre>
          {!sql.data.exact && <p className="meta">{fill(said.sqlInexact, { error: sql.data.error ?? 1 })}</p>}
        </>
      ))}
    </details>
  )
}
