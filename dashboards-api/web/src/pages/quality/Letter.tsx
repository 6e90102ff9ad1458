import { useQuery } from '@tanstack/react-query'
import { useEffect, useId, useState } from 'react'
import { address, ApiError, get } from '../../api/client'
import { Choose } from '../../parts/Filters'
import { Dialog } from '../../parts/Dialog'
import { Failure, Skeleton } from '../../parts/States'
import { dictionaries, fill, languages, useLanguage, useWordsOf } from '../../words'
import type { Letter } from './data'
import { words } from './words'

// LetterDialog shows the draft that asks a source for what is missing. It is changed and
// sent by a person; nothing is sent from here.
export function LetterDialog({ source, onClose }: { source: string | undefined; onClose: () => void }) {
  const said = useWordsOf(words)
  return <Dialog open={source !== undefined} onClose={onClose} title={said.ask}>{source !== undefined && <Draft source={source} />}</Dialog>
}

function Draft({ source }: { source: string }) {
  const said = useWordsOf(words)
  const own = useLanguage()
  const [language, setLanguage] = useState(own)
  const [text, setText] = useState('')
  const [copied, setCopied] = useState(false)
  const id = useId()
  const letter = useQuery({
    queryKey: ['letter', source, language],
    queryFn: ({ signal }) => get<Letter>(address(`/v1/letters/${encodeURIComponent(source)}`, { language } as object), signal),
    retry: false,
  })
  useEffect(() => {
    setText(letter.data?.text ?? '')
    setCopied(false)
  }, [letter.data])
  return (
    <div className="letter">
      <p className="meta">{said.letterHint}</p>
      <Choose label={said.letterLanguage} value={language} options={languages.map((l): [string, string] => [l, dictionaries[l]!.language])} onChange={setLanguage} />
      {letter.isError && (letter.error instanceof ApiError && letter.error.status === 404 ? <p>{said.letterNone}</p> : <Failure error={letter.error} again={() => void letter.refetch()} />)}
      {letter.isPending && <Skeleton rows={3} kind="row" />}
      {letter.data && (
        <>
          <label htmlFor={id}>{fill(said.letter, { to: letter.data.to })}</label>
          <textarea id={id} lang={language} rows={16} value={text} onChange={(event) => { setText(event.target.value); setCopied(false) }} />
          <div className="group">
            <button type="button" onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}>{copied ? said.copied : said.copy}</button>
            <button type="button" onClick={() => save(`${source}-${language}.txt`, text)}>{said.download}</button>
          </div>
          <span className="spoken" role="status">{copied && said.copied}</span>
        </>
      )}
    </div>
  )
}

function save(name: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
