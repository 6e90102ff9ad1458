import { useSearch } from '@tanstack/react-router'
import { useMay, useMe } from '../../api/me'
import { useChange } from '../../parts/Filters'
import { Page } from '../../parts/Page'
import { Tabs } from '../../parts/Tabs'
import { useWords, useWordsOf } from '../../words'
import { Audit } from './Audit'
import { Keys } from './Keys'
import { words } from './words'

// OperatePage is the operator's: keys of programs, and who asked for what.
export default function OperatePage() {
  const said = useWordsOf(words)
  const all = useWords()
  const may = useMay()
  const known = useMe().isSuccess
  const { tab } = useSearch({ from: '__root__' })
  const change = useChange()
  const tabs = [
    ...(may('GET /v1/keys') ? [{ key: 'keys', title: said.keys, body: <Keys /> }] : []),
    ...(may('GET /v1/audit') ? [{ key: 'audit', title: said.audit, body: <Audit /> }] : []),
  ]
  return (
    <Page title={said.title}>
      {tabs.length > 0 ? <Tabs label={said.parts} tabs={tabs} open={tab} onOpen={(key) => change({ tab: key })} /> : known && <p className="meta">{all.errors.s403}</p>}
    </Page>
  )
}
