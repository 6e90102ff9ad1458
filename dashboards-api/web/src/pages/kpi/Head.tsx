import { useState } from 'react'
import type { HeldTarget, Kpi, Values } from '../../api/client'
import { boundText, changeText, sentence } from '../../finding'
import { cellText, day, isoDayOfMoment, isOver, number, period } from '../../format'
import { printWhole } from '../../parts/Later'
import { Figure, gapText, Status, TargetBar, verdictText } from '../../parts/Figures'
import { writeSearch } from '../../search'
import { useVoice } from '../../voice'
import { dictionaries, fill, languages, nameIn, shortNames, useWords, useWordsOf } from '../../words'
import { measured } from '../../charts/states'
import { type Asked, ownTargets } from './question'
import { type Answer, besideIn, Disputed } from './Replies'
import { Files, type Taking } from './Take'
import { wasText } from '../../charts/was'
import { words as allWords } from './words'
import style from './style.module.css'

// Head is the figure: value and state, how it stands to its target, the sentence, and what
// one can do with it.
export function Head({ kpi, asked, whole, held, taking, replies }: { kpi: Kpi; asked: Asked; whole: Values; held: HeldTarget | undefined; taking: Taking | undefined; replies: Answer | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const { search } = asked
  const [copied, setCopied] = useState('')
  const targets = ownTargets(kpi, search)
  const cell = whole.cells[0]
  if (!cell) return <p className="empty">{words.emptyTitle}</p>
  const asks = targets.find((t) => t.kind === 'target')
  const change = changeText(cell, whole.unit, voice)
  const through = whole.loaded ? isoDayOfMoment(whole.loaded, voice.zone) : undefined
  const copy = (text: string, what: string) => void navigator.clipboard.writeText(text).then(() => setCopied(what))
  const permanent = () => {
    const { lang: _, ...kept } = search
    const from = search.from ?? whole.from ?? undefined
    const to = search.to ?? whole.to ?? undefined
    return location.origin + location.pathname + writeSearch({ ...kept, from, to, version: String(whole.version), compare: asked.compare ?? 'none', known_on: search.known_on ?? through })
  }
  const known = search.known_on ?? through
  const moves = known !== undefined && !isOver(known, voice.zone)
  const still = moves ? ' ' + words.dayNotOver : ''
  const tell = (language: string) => sentence(whole, targets, { ...voice, language }, besideIn(whole, replies, { ...voice, language }))
  return (
    <section className={`card ${style.head}`} aria-label={words.figure}>
      <div className="value">
        <p className="huge"><Figure cell={cell} unit={whole.unit} /></p>
        <p className="meta">
          {period(cell.period, voice.language)}
          {measured(cell) && cell.numerator !== null && cell.denominator !== null && <> · {fill(whole.unit === 'percent' ? words.of : '{numerator} / {denominator}', { numerator: number(cell.numerator, voice.language), denominator: number(cell.denominator, voice.language) })}</>}
        </p>
        {change && <p className="meta">{change}</p>}
        {cell.corrected && <p className="meta">{fill(said.correctedOn, { day: day(cell.corrected, voice.language), value: wasText(cell, whole.unit, voice, '{value}') })}</p>}
        {cell.quantiles?.map((q) => (
          <p key={q.q} className="meta">{q.q === 0.5 ? words.median : fill(words.quantile, { n: number(q.q * 100, voice.language) })}: {cellText({ ...cell, value: q.value }, whole.unit, voice.language, voice.labels)}</p>
        ))}
        {replies && <Disputed answer={replies} values={whole} />}
        {held ? (
          <div className={style.target}>
            <TargetBar cell={cell} target={held} />
            <p className="meta"><Status target={held} /> · {words.target}: {boundText(held, whole.unit, voice)}{held.due_stated && held.due && <> · {fill(words.due, { day: day(held.due, voice.language) })}</>}</p>
            <p className="meta">{[verdictText(held, cell, whole.unit, voice) || gapText(held, whole.unit, voice.language, words), !held.due_stated && words.dueNotStated, nameIn(held.act_names, voice.language, held.act)].filter(Boolean).join(' · ')}</p>
          </div>
        ) : <p className="meta">{asks ? `${words.target}: ${boundText(asks, whole.unit, voice)} · ${nameIn(asks.act_names, voice.language, asks.act)}` : words.noTarget}</p>}
      </div>
      <div>
        <p className="sentence">{tell(voice.language)}</p>
        <div className="actions" aria-label={said.actions} role="group">
          <span className="group" role="group" aria-label={words.copySentence}>
            <span className="label">{words.copySentence}</span>
            {languages.map((l) => (
              <button key={l} type="button" lang={l} title={dictionaries[l]!.language} onClick={() => copy(tell(l), l)}>{copied === l ? '✓ ' : ''}{shortNames[l]}</button>
            ))}
          </span>
          {taking && <Files {...taking} />}
          <span className="group">
            {known && <button type="button" title={fill(moves ? said.linkTitleNow : said.linkTitle, { day: day(known, voice.language) }) + still} onClick={() => copy(permanent(), 'link')}>{copied === 'link' ? '✓ ' : ''}{said.link}</button>}
            <button type="button" onClick={() => void printWhole()}>{words.print}</button>
          </span>
        </div>
        <p className={copied === 'link' && moves ? 'meta' : 'spoken'} role="status">{copied === 'link' && known ? fill(said.linkCopied, { day: day(known, voice.language) }) + (moves ? `. ${words.dayNotOver}` : '') : copied && words.copied}</p>
      </div>
    </section>
  )
}
