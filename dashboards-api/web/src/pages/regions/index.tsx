import { Page } from '../../parts/Page'
import { useWordsOf } from '../../words'
import { words } from './words'

export default function RegionsPage() {
  const said = useWordsOf(words)
  return <Page title={said.title} />
}

export function Profile() {
  const said = useWordsOf(words)
  return <Page title={said.title} />
}
