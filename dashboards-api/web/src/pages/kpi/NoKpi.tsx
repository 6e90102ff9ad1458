import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { get, type Kpi } from '../../api/client'
import { useMay } from '../../api/me'
import { near } from '../../fold'
import { short } from '../../format'
import { Page } from '../../parts/Page'
import { useVoice } from '../../voice'
import { fill, nameIn, useWords } from '../../words'

// NoKpi is the page of an id that no figure has: it names those that are spelled alike, and leads
// to the list of all.
export function NoKpi({ id }: { id: string }) {
  const words = useWords()
  const { language } = useVoice()
  const may = useMay()('GET /v1/kpis')
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: ({ signal }) => get<{ kpis: Kpi[] }>('/v1/kpis', signal), enabled: may })
  const alike = near(short(id, 200), (kpis.data?.kpis ?? []).map((k) => ({ id: k.id, names: Object.values(k.title) })))
  const titles = new Map(kpis.data?.kpis.map((k) => [k.id, nameIn(k.title, language, k.id)]))
  return (
    <Page title={fill(words.noFigure, { id: short(id) })} summary={words.notFoundHint}>
      <section className="empty">
        {alike.length > 0 && (
          <>
            <p>{words.didYouMean}</p>
            <ul>{alike.map((k) => <li key={k.id}><Link to="/kpis/$id" params={{ id: k.id }} search={({ lang }) => ({ lang })}>{titles.get(k.id)}</Link> <code>{k.id}</code></li>)}</ul>
          </>
        )}
        {may && <p><Link to="/kpis" search={({ lang }) => ({ lang })}>{words.allFigures}</Link></p>}
        <p><Link to="/" search={({ lang }) => ({ lang })}>{words.backToScorecard}</Link></p>
      </section>
    </Page>
  )
}
