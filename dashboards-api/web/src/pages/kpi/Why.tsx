import { memo } from 'react'
import { ApiError, type Kpi, type Question, type Values } from '../../api/client'
import { palette } from '../../charts/palette'
import { drawWaterfall, type Step, Waterfall } from '../../charts/Waterfall'
import { scopedTitle } from '../../finding'
import { amount, inPoints, isoDayOfMoment, isRate, period } from '../../format'
import type { Replies } from '../../parts/Disputed'
import { Choose, useChange } from '../../parts/Filters'
import { Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { sourceOf } from './Caption'
import { type Asked, type Movers, useAbout, type Why as Answer } from './question'
import { besideIn } from './Replies'
import { exactly, lastOf } from './says'
import style from './style.module.css'
import { Take } from './Take'
import { words as allWords } from './words'

const ways = ['previous', 'year', 'quarter', 'month'] as const
type Way = (typeof ways)[number]

// questionOf says which two periods are held against each other.
function questionOf(way: Way, asked: Asked, through: string): Question {
  const last = way === 'quarter' || way === 'month' ? lastOf(way, through) : undefined
  const year = through.slice(0, 4)
  const from = last?.from ?? asked.scope.from ?? `${year}-01-01`
  const to = last?.to ?? asked.scope.to ?? through
  return { ...asked.scope, from, to, compare: way === 'year' ? 'year' : 'previous' }
}

const told = (state: string | undefined) => state === 'value' || state === 'zero'

// Why takes the change apart: three exact parts, the change like for like, and who moved it
// most. What is held against what is the reader's choice; at first the period shown and the
// one before, and its last quarter where nothing is known of the period before.
export const Why = memo(function Why({ kpi, asked, whole, replies }: { kpi: Kpi; asked: Asked; whole: Values | undefined; replies: Replies | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const { language } = voice
  const { search } = asked
  const change = useChange()
  const chosen = ways.find((w) => w === search.against)
  const data = whole?.data_through ? isoDayOfMoment(whole.data_through, voice.zone) : undefined
  const through = [data, search.to].filter((d) => d !== undefined).sort()[0]
  const ready = through !== undefined
  const compared = whole?.cells[0]?.comparison
  const known = compared && told(compared.state) && whole.compare !== 'national'
  const way: Way = chosen ?? (!known ? 'quarter' : whole.compare === 'year' ? 'year' : 'previous')
  // A figure that is hidden or missing in one of the two is not asked about.
  const pair = useAbout<Values>(kpi.id, 'values', ready ? questionOf(way, asked, through) : {}, ready)
  const cell = pair.data?.cells.length === 1 && !pair.isPlaceholderData ? pair.data.cells[0] : undefined
  const tellable = told(cell?.state) && told(cell?.comparison?.state)
  const why = useAbout<Answer>(kpi.id, 'why', ready ? questionOf(way, asked, through) : {}, ready && tellable)
  const answer = why.data
  const movers = useAbout<Movers>(kpi.id, 'movers', ready ? { ...questionOf(way, asked, through), largest: '5' } : {}, ready && answer !== undefined && !why.isError)
  if (!ready) return null
  const unsupported = pair.isSuccess && !pair.isPlaceholderData && !tellable || why.error instanceof ApiError && why.error.status < 500 && why.error.status !== 0
  const steps: Step[] = (answer?.parts ?? []).map((p) => ({ key: p.key, label: said.parts[p.key][0], about: said.parts[p.key][1], change: p.change }))
  const end = (p: Answer['now']) => fill(said.whyEnd, { period: period(p.period, language), value: exact(p.value) })
  const exact = (v: number) => (answer?.unit === 'percent' ? exactly(v, 'percent', language).replace('+', '') + '\u00a0%' : amount(v, answer?.unit ?? '', language, voice.labels))
  const shortly = ({ parts, change: all }: Answer) => {
    const largest = parts.reduce((a, b) => (Math.abs(b.change) > Math.abs(a.change) ? b : a))
    if (parts.every((p) => p.change === 0)) return said.whyStill
    const points = (v: number) => (answer?.unit === 'percent' ? fill(words.points, { value: exactly(v, 'percent', language) }) : exactly(v, answer?.unit ?? '', language))
    return fill(said.whySays, { change: points(all), part: said.parts[largest.key][0], partChange: points(largest.change) })
  }
  const drawn = answer && { steps, total: { label: inPoints(said.whyTotal, answer.unit, language), change: answer.change }, before: end(answer.before), now: end(answer.now), say: (v: number) => exactly(v, answer.unit, language) }
  return (
    <section aria-labelledby="why" className="card">
      <div className="section-head">
        <h2 id="why">{said.why}</h2>
        <Choose label={said.against} value={way} options={ways.map((w) => [w, said.againsts[w]])} onChange={(against) => change({ against })} />
        {drawn && whole && (
          <Take name={`${kpi.id}-why`} around={{ title: `${scopedTitle(whole, voice)}: ${said.why}`, sentence: shortly(answer), source: sourceOf(kpi, whole, voice, asked.search, besideIn(whole, replies, voice, answer.now, answer.before)) }}
            draw={() => Promise.resolve(drawWaterfall(drawn, palette('light')))}
            data={{ path: `/v1/kpis/${encodeURIComponent(kpi.id)}/why`, question: questionOf(way, asked, through) }} />
        )}
      </div>
      {unsupported ? <p className="empty">{isRate(whole?.unit ?? '') ? said.whyRate : said.whyNone}</p>
        : pair.isError ? <Failure error={pair.error} again={() => void pair.refetch()} />
        : why.isError ? <Failure error={why.error} again={() => void why.refetch()} />
          : !drawn || why.isPlaceholderData ? <Skeleton rows={5} kind="row" /> : (
            <>
              <p className="says">{shortly(answer)}</p>
              <div className={style.why}>
                <div>
                  <Waterfall {...drawn} label={said.why} />
                  {answer.like_for_like && answer.like_for_like.units > 0 && (
                    <p className="caption">{fill(said.likeForLike, { units: answer.like_for_like.units, before: exact(answer.like_for_like.before), now: exact(answer.like_for_like.now), change: exactly(answer.like_for_like.change, answer.unit, language) })}</p>
                  )}
                </div>
                {movers.data && !movers.isPlaceholderData ? <MoversTable movers={movers.data} /> : !movers.isError && <Skeleton rows={5} kind="row" />}
              </div>
              <p className="caption">{language === 'en' ? answer.notes.join(' ') : answer.simulated ? words.simulated : ''}</p>
            </>
          )}
    </section>
  )
})

function MoversTable({ movers }: { movers: Movers }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const { language, labels } = useVoice()
  const nameOf = (unit: Record<string, string>) => Object.entries(unit).map(([by, code]) => (code === '' ? words.notTold : nameIn(movers.names?.[by]?.[code], language, labels[`value.${by}.${code}`] ?? code))).join(' · ')
  const own = (v: number | null) => (v === null ? '–' : amount(v, movers.unit, language, labels))
  const rows = movers.movers.slice(0, 5)
  return (
    <div>
      <h3 className={style.movers}>{said.movers}</h3>
      <div className="scroll" tabIndex={0} role="group" aria-label={said.movers}>
        <table className="plain">
          <thead><tr><th scope="col">{movers.by.map((by) => labels[`dimension.${by}`] ?? by).join(' · ')}</th><th scope="col" className="number">{said.own}</th><th scope="col" className="number">{inPoints(said.contribution, movers.unit, language)}</th></tr></thead>
          <tbody>
            {rows.map((m) => (
              <tr key={JSON.stringify(m.unit)}><th scope="row">{nameOf(m.unit)}</th><td className="number">{own(m.before)} → {own(m.now)}</td><td className="number">{exactly(m.change, movers.unit, language)}</td></tr>
            ))}
            <tr><th scope="row">{said.moversOthers}</th><td /><td className="number">{exactly(movers.change - rows.reduce((sum, m) => sum + m.change, 0), movers.unit, language)}</td></tr>
          </tbody>
        </table>
      </div>
    </div>
  )
}
