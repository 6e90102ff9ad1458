import { type ReactNode, useEffect } from 'react'
import { Failure, SimulatedNotice, Skeleton } from './States'

// Query is what a page needs to know of a question that it asked, as useQuery has it.
interface Query {
  isPending: boolean
  isError: boolean
  isFetching: boolean
  isPlaceholderData: boolean
  error: unknown
  refetch: () => unknown
}

interface Props {
  title: string // the finding where there is one, else the name of the page
  tab?: string // what the browser's tab says, when the title is long
  crumbs?: ReactNode
  summary?: ReactNode // the sentence under the title
  filters?: ReactNode
  actions?: ReactNode
  simulated?: boolean | undefined
  query?: Query // the question that the whole page stands on: its waiting and failing are drawn here
  waiting?: ReactNode // drawn while there is no answer at all
  children?: ReactNode
}

// Page is the frame of every page: its one h1, what stands beside it, and the state of the
// question that it stands on. Old data stay, marked, while new load.
export function Page({ title, tab, crumbs, summary, filters, actions, simulated, query, waiting, children }: Props) {
  useEffect(() => {
    document.title = `${tab ?? title} · Ombor`
  }, [tab, title])
  return (
    <div className={query?.isPlaceholderData ? 'page refreshing' : 'page'} aria-busy={query?.isFetching ?? false}>
      {crumbs && <div className="crumbs">{crumbs}</div>}
      <div className="page-head">
        <div className="page-title">
          <h1>{title}</h1>
          {(summary || (waiting && query?.isPending)) && <div className="summary">{summary || '\u00a0'}</div>}
        </div>
        {(filters || actions) && <div className="filters">{filters}{actions && <div className="group">{actions}</div>}</div>}
      </div>
      {simulated && <SimulatedNotice />}
      {query?.isError ? <Failure error={query.error} again={() => void query.refetch()} /> : query?.isPending ? (waiting ?? <Skeleton rows={8} kind="row" />) : children}
    </div>
  )
}
