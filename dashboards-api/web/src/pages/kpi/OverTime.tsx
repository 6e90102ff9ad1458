import { lazy, memo, Suspense, useMemo } from 'react'
import { type Kpi, valuesPath, type Values } from '../../api/client'
import { palette } from '../../charts/palette'
import { measured } from '../../charts/states'
import { wasText } from '../../charts/was'
import { coming } from '../../fetched'
import { scopedTitle, type Voice } from '../../finding'
import { day, inPoints, number, period, signed } from '../../format'
import { Disputed } from '../../parts/Disputed'
import { Figure } from '../../parts/Figures'
import { Choose, useChange } from '../../parts/Filters'
import { Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, useWords, useWordsOf } from '../../words'
import { Caption, sourceOf } from './Caption'
import { Nothing } from './Nothing'
import { type Asked, ownTargets, useSeries } from './question'
import { type Answer, besideIn } from './Replies'
import { lineSays } from './says'
import { Take, type Taking } from './Take'
import { words as allWords } from './words'

// The chart's library is large: it is asked for as soon as the page is, and comes while the
// figures do, or once the server is back.
const library = coming(() => import('../../charts/Line'))
const Line = lazy(() => library)

// titleOf says of what and of which days the line is.
const titleOf = (values: Values, voice: Voice) => {
  const [from, to] = [values.from ?? values.cells[0]?.from, values.to ?? values.cells.at(-1)?.to]
  return [scopedTitle(values, voice), from && to && period(`${from}/${to}`, voice.language)].filter(Boolean).join(', ')
}

// useLineFiles is the line as files: it stands also in the head of the page.
export function useLineFiles(kpi: Kpi, asked: Asked, values: Values | undefined, whole: Values | undefined, replies: Answer | undefined): Taking | undefined {
  const voice = useVoice()
  const { search } = asked
  return useMemo(() => values && {
    name: kpi.id,
    around: { title: titleOf(values, voice), sentence: lineSays(values, voice) + '.', source: sourceOf(kpi, values, voice, search, whole && besideIn(whole, replies, voice)) },
    draw: async () => {
      const { drawLine } = await library
      return drawLine({ values, targets: ownTargets(kpi, search), versions: kpi.versions }, voice, palette('light'))
    },
    data: { path: valuesPath(kpi.id), question: { ...asked.scope, grain: asked.grain, compare: asked.beside } },
  }, [kpi, asked, search, values, whole, replies, voice])
}

// OverTime is the line, or its table.
export const OverTime = memo(function OverTime({ kpi, asked, taking }: { kpi: Kpi; asked: Asked; taking: Taking | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const { search } = asked
  const change = useChange()
  const series = useSeries(kpi.id, asked)
  const values = series.data
  const known = values?.cells.some(measured) ?? false
  const table = search.show === 'table'
  const shown = useMemo(() => values && { values, targets: ownTargets(kpi, search), versions: kpi.versions }, [kpi, search, values])
  return (
    <section aria-labelledby="over-time" className="card">
      <div className="section-head">
        <h2 id="over-time">{words.overTime}</h2>
        <Choose label={words.grain} value={asked.grain} options={asked.grains.map((g) => [g, said.grains[g as keyof typeof said.grains] ?? g])} onChange={(grain) => change({ grain })} />
        <button type="button" aria-pressed={table} onClick={() => change({ show: table ? undefined : 'table' })}>{words.table}</button>
        {taking && <Take {...taking} />}
      </div>
      {series.isError ? <Failure error={series.error} again={() => void series.refetch()} /> : !values || !shown ? <Skeleton rows={1} kind="chart" /> : (
        <>
          {known && <p className="says">{lineSays(values, voice)}</p>}
          {table && values.cells.length > 0 ? <SeriesTable values={values} where={search.where} /> : !known ? <Nothing kpi={kpi} /> : (
            <Suspense fallback={<Skeleton rows={1} kind="chart" />}>
              <Line shown={shown} label={`${scopedTitle(values, voice)}. ${lineSays(values, voice)}`} />
            </Suspense>
          )}
          <Caption kpi={kpi} values={values} />
        </>
      )}
    </section>
  )
})

// SeriesTable has a row for each period with its state: still arriving, closed, corrected.
function SeriesTable({ values, where }: { values: Values; where: string[] | undefined }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const voice = useVoice()
  const { language } = voice
  const compared = values.cells.some((c) => c.comparison?.difference != null)
  return (
    <div className="scroll" tabIndex={0} role="group" aria-labelledby="over-time">
      <table className="plain">
        <thead>
          <tr>
            <th scope="col">{words.period}</th><th scope="col" className="number">{words.value}</th><th scope="col" className="number">{words.parts}</th>
            {compared && <th scope="col" className="number">{inPoints(words.difference, values.unit, language)}</th>}<th scope="col" className="number">{words.cases}</th><th scope="col">{words.dataAsOf}</th>
          </tr>
        </thead>
        <tbody>
          {values.cells.map((c) => (
            <tr key={c.period}>
              <th scope="row">{period(c.period, language)}</th>
              <td className="number"><Figure cell={c} unit={values.unit} /><Disputed kpi={values.kpi} cell={c} where={where} /></td>
              <td className="number">{c.numerator === null ? '' : number(c.numerator, language)}{c.denominator !== null && ` / ${number(c.denominator, language)}`}</td>
              {compared && <td className="number">{c.comparison?.difference == null ? '' : signed(c.comparison.difference, values.unit, language)}</td>}
              <td className="number">{c.cases === null ? '' : number(c.cases, language)}</td>
              <td>{c.corrected ? fill(said.correctedOn, { day: day(c.corrected, language), value: wasText(c, values.unit, voice, '{value}') }) : c.open ? '' : c.closed ? fill(said.closedOn, { day: day(c.closed, language) }) : ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
