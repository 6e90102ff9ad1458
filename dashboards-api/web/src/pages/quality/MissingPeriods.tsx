import type { useQuery } from '@tanstack/react-query'
import { number, period, tick } from '../../format'
import { Empty, Failure, Skeleton } from '../../parts/States'
import { useVoice } from '../../voice'
import { fill, useWordsOf } from '../../words'
import { type Finding, gapsOf } from './data'
import { words } from './words'

// MissingPeriods lays silence out by source and month. It is a table, and says in every cell
// what is drawn there.
export function MissingPeriods({ findings, nameOf }: { findings: ReturnType<typeof useQuery<{ findings: Finding[] }>>; nameOf: (id: string) => string }) {
  const said = useWordsOf(words)
  const { language } = useVoice()
  if (findings.isError) return <Failure error={findings.error} again={() => void findings.refetch()} />
  if (!findings.data) return <Skeleton rows={6} kind="row" />
  const gaps = gapsOf(findings.data.findings)
  if (gaps.months.length === 0) return <Empty title={said.gapsNone}><p>{said.gapsNoneHint}</p></Empty>
  return (
    <section className="card" aria-labelledby="gaps">
      <h2 id="gaps">{said.gapsTitle}</h2>
      <p className="meta">{said.gapLegend}</p>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="gaps">
        <table className="gaps">
          <thead><tr><th scope="col">{said.source}</th>{gaps.months.map((m, i) => <th key={m} scope="col">{tick(m, language, i === 0)}</th>)}</tr></thead>
          <tbody>
            {gaps.sources.map(({ source, by }) => (
              <tr key={source}>
                <th scope="row">{nameOf(source)}</th>
                {gaps.months.map((m) => {
                  const gap = by.get(m)
                  const text = gap ? (gap.whole ? said.gapFull : fill(said.gapPart, { n: number(gap.days, language) })) : said.gapCell.sent
                  return <td key={m} title={fill(said.gapSpoken, { source: nameOf(source), period: period(m, language), text })}><span className={gap ? (gap.whole ? 'gap whole' : 'gap part') : 'gap sent'}><span className="spoken">{text}</span>{gap && !gap.whole && <span aria-hidden="true">{gap.days}</span>}</span></td>
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}
