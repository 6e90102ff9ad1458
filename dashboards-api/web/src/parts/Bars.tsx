import { Link, useSearch } from '@tanstack/react-router'
import type { Cell, Kpi, Values } from '../api/client'
import { dimensionName, partName } from '../finding'
import { amount, dimensionValue, number, signed } from '../format'
import { type Search, withFilter } from '../search'
import { useVoice } from '../voice'
import { fill, useWords } from '../words'
import { Figure } from './Figures'

const most = 40

// Bars ranks the parts of a figure. It is a table whose one column is drawn, so it
// is its own table for those who do not see the bars. A part is a link that
// narrows the page to it and breaks it down by the next dimension.
export function Bars({ values, by, kpi, whole }: { values: Values; by: string; kpi: Kpi; whole: Values | undefined }) {
  const words = useWords()
  const voice = useVoice()
  const search = useSearch({ from: '__root__' })
  const rank = (c: Cell) => (c.value === null ? -Infinity : c.value)
  const sorted = [...values.cells].sort((a, b) => rank(b) - rank(a) || (b.denominator ?? 0) - (a.denominator ?? 0))
  const shown = sorted.slice(0, most)
  const end = Math.max(0, ...shown.map((c) => c.value ?? 0))
  const low = Math.min(0, ...shown.map((c) => c.value ?? 0))
  const scale = (v: number) => (end === low ? 0 : (100 * v) / (end - low))
  const compared = shown.some((c) => c.comparison)
  const ratio = shown.some((c) => c.denominator !== null)
  const next = kpi.dimensions.find((d) => d.name !== by && !search.where?.some((w) => w.startsWith(d.name + '=')))?.name
  const average = values.unit === 'percent' ? whole?.cells[0]?.value : undefined
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="where">
        <table className="bars">
          <thead>
            <tr>
              <th scope="col">{dimensionName(kpi, by, voice)}</th>
              <th scope="col" className="number">{words.value}</th><th scope="col" aria-hidden="true" />
              {compared && <th scope="col" className="number">{words.difference}</th>}
              {ratio && <th scope="col" className="number parts">{words.parts}</th>}
            </tr>
          </thead>
          <tbody>
            {average != null && (
              <tr className="whole">
                <th scope="row">{words.whole}</th><td className="number">{amount(average, values.unit, voice.language, voice.labels)}</td>
                <td className="bar" aria-hidden="true"><Bar from={0} width={scale(average)} /></td>
                {compared && <td />}{ratio && <td className="parts" />}
              </tr>
            )}
            {shown.map((cell) => {
              const code = dimensionValue(cell, by)
              const name = partName(values, by, code, voice)
              return (
                <tr key={code}>
                  <th scope="row">
                    {code === '' ? name : (
                      <Link to="." search={(old: Search) => ({ ...old, where: withFilter(old, by, code), by: next ?? by })} title={fill(words.narrow, { name })} resetScroll={false}>{name}</Link>
                    )}
                  </th>
                  <td className="number"><Figure cell={cell} unit={values.unit} /></td>
                  <td className="bar" aria-hidden="true">
                    {cell.value === null ? <span className={`nobar ${cell.state}`} /> : <Bar from={scale(Math.min(cell.value, 0) - low)} width={scale(Math.abs(cell.value))} mark={average == null ? undefined : scale(average)} />}
                  </td>
                  {compared && <td className="number">{cell.comparison?.difference == null ? '' : signed(cell.comparison.difference, values.unit, voice.language)}</td>}
                  {ratio && <td className="number parts">{cell.numerator === null ? '' : `${number(cell.numerator, voice.language)} / ${number(cell.denominator ?? 0, voice.language)}`}</td>}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {sorted.length > most && <p className="caption">{fill(words.tooMany, { shown: most, all: sorted.length })}</p>}
    </>
  )
}

function Bar({ from, width, mark }: { from: number; width: number; mark?: number | undefined }) {
  return (
    <svg viewBox="0 0 100 10" preserveAspectRatio="none">
      <rect x={from} y="0" width={Math.max(width, 0.2)} height="10" />
      {mark !== undefined && <line x1={mark} x2={mark} y1="-2" y2="12" />}
    </svg>
  )
}
