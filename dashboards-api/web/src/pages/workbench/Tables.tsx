import { useState } from 'react'
import type { WorkbenchSchema } from '../../api/client'
import { fold } from '../../fold'
import { fill, useWordsOf } from '../../words'
import { words } from './words'

// Tables are the views and their columns with their comments, which are English. A name goes into the statement.
export function Tables({ schema, onName, onAsk }: { schema: WorkbenchSchema; onName: (name: string) => void; onAsk: (table: string) => void }) {
  const said = useWordsOf(words)
  const [text, setText] = useState('')
  const wanted = fold(text)
  const has = (...names: string[]) => names.some((n) => fold(n).includes(wanted))
  const found = schema.tables.flatMap((t) => {
    if (!wanted || has(t.name, t.about)) return [{ ...t, open: false }]
    const columns = t.columns.filter((c) => has(c.name, c.about))
    return columns.length ? [{ ...t, columns, open: true }] : []
  })
  return (
    <section className="wb-tables" aria-label={said.tables}>
      <h2>{said.tables}</h2>
      <input type="search" aria-label={said.findTable} placeholder={said.findTable} value={text} onChange={(e) => setText(e.target.value)} />
      {found.length === 0 && <p className="wb-note">{fill(said.noTable, { text })}</p>}
      <TableList tables={found.filter((t) => !isLedger(t))} {...{ onName, onAsk }} />
      {found.some(isLedger) && (
        <details open={wanted !== '' || undefined}>
          <summary>{said.ledgers}</summary>
          <TableList tables={found.filter(isLedger)} {...{ onName, onAsk }} />
        </details>
      )}
    </section>
  )
}

interface Listed {
  tables: (WorkbenchSchema['tables'][number] & { open: boolean })[]
  onName: (name: string) => void
  onAsk: (table: string) => void
}

// isLedger is a view of every row ever received, beside the view of those that stand.
const isLedger = (table: { name: string }) => table.name.endsWith('_ledger')

function TableList({ tables, onName, onAsk }: Listed) {
  const said = useWordsOf(words)
  return (
    <ul>
      {tables.map((t) => (
        <li key={t.name}>
          <details open={t.open || undefined}>
            <summary title={t.about}>{t.name}</summary>
            <p lang="en">{t.about}</p>
            <p className="group">
              <button type="button" onClick={() => onAsk(t.name)}>{said.ask}</button>
              <button type="button" className="quiet" onClick={() => onName(t.name)}>{fill(said.insert, { name: t.name })}</button>
            </p>
            <ul aria-label={fill(said.columnsOf, { table: t.name })}>
              {t.columns.map((c) => (
                <li key={c.name}>
                  <button type="button" className="quiet" title={fill(said.insert, { name: c.name })} onClick={() => onName(c.name)}>{c.name}</button>
                  <small>{c.type}</small>
                  {c.about && <p lang="en">{c.about}</p>}
                </li>
              ))}
            </ul>
          </details>
        </li>
      ))}
    </ul>
  )
}
