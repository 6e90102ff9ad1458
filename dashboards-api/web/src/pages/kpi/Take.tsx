import { useState } from 'react'
import { address, type Question } from '../../api/client'
import { palette } from '../../charts/palette'
import { type Around, type Drawn, givePng, giveSvg, picture } from '../../charts/picture'
import { Popover } from '../../parts/Popover'
import { useWordsOf } from '../../words'
import { words } from './words'

export interface Taking {
  name: string // of the files, without ending
  around: Around
  draw: () => Promise<Drawn>
  data: { path: string; question: Question } | undefined // behind it, as CSV and XLSX
}

// Files offers what a chart shows as a picture and as data.
export function Files({ name, around, draw, data }: Taking) {
  const said = useWordsOf(words)
  const [failed, setFailed] = useState('')
  const make = (give: (svg: string, name: string) => unknown) => () => {
    setFailed('')
    void draw()
      .then((drawn) => give(picture(drawn, around, palette('light')), name))
      .catch((e: unknown) => setFailed(e instanceof Error ? e.message : String(e)))
  }
  return (
    <span className="group" role="group" aria-label={said.file}>
      <span className="label">{said.file}</span>
      <button type="button" onClick={make(givePng)}>PNG</button>
      <button type="button" onClick={make(giveSvg)}>SVG</button>
      {data && ['csv', 'xlsx'].map((format) => <a key={format} className="button" href={address(data.path, { ...data.question, format })}>{format.toUpperCase()}</a>)}
      {failed && <span role="alert" className="problem">{failed}</span>}
    </span>
  )
}

// Take is the same behind one button, for the head of a section.
export function Take(taking: Taking) {
  const said = useWordsOf(words)
  return (
    <Popover label={said.file} className="take" button={<><span aria-hidden="true">↓</span> {said.file}</>}>
      <Files {...taking} />
    </Popover>
  )
}
