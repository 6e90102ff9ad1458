import { Link, useSearch } from '@tanstack/react-router'
import type { Kpi } from '../../api/client'
import type { Search } from '../../search'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords, useWordsOf } from '../../words'
import { words as allWords } from './words'

// Nothing stands where a period has no figure: who can change that, and the way to what is known.
export function Nothing({ kpi }: { kpi: Kpi }) {
  const words = useWords()
  const said = useWordsOf(allWords)
  const { language } = useVoice()
  const narrowed = useSearch({ from: '__root__', select: ({ from, to }) => from !== undefined || to !== undefined })
  return (
    <div className="empty">
      <p>{words.emptyTitle}. {fill(said.whoCanFix, { owner: nameIn(kpi.owner_names, language, kpi.owner) })}</p>
      {narrowed && <p><Link to="." resetScroll={false} search={(old: Search) => ({ ...old, from: undefined, to: undefined })}>{said.showKnown}</Link></p>}
    </div>
  )
}
