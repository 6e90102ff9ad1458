import { Page } from '../../parts/Page'
import { useWordsOf } from '../../words'
import { words } from './words'

export default function OperatePage() {
  const said = useWordsOf(words)
  return <Page title={said.title} />
}
