import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { get, type Labels } from '../../api/client'
import { useKept } from '../../api/kept'
import { useMay, useMe } from '../../api/me'
import { day, isoDayOfMoment } from '../../format'
import { Page } from '../../parts/Page'
import type { Search } from '../../search'
import { change, lookedBefore, type Settings, useSettings } from '../../settings'
import { offered, useVoice } from '../../voice'
import { dictionaries, fill, personName, useWords, useWordsOf } from '../../words'
import css from './style.module.css'
import { words } from './words'

const starts = { scorecard: undefined, monday: '/monday', promises: '/promises', projects: '/projects' } as const satisfies Record<string, Settings['start']>

// SettingsPage is what a reader may arrange: language, theme, start page.
export default function SettingsPage() {
  const said = useWordsOf(words)
  const shared = useWords()
  const { language, zone } = useVoice()
  const may = useMay()
  const me = useMe()
  const navigate = useNavigate()
  const chosen = useSettings()
  useKept()
  const labels = useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) })
  const looked = lookedBefore(isoDayOfMoment(new Date().toISOString(), zone)) // as the Monday page has it
  const person = me.data?.principal
  return (
    <Page title={said.title} query={me} summary={may('PUT /v1/me/settings') ? said.account : said.here}>
      <div className={css.settings}>
        {labels.data && (
          <Choice title={said.language} about={said.languageAbout} value={language} options={offered(labels.data.languages).map((l) => [l, dictionaries[l]!.language])}
            onChange={(lang) => void navigate({ to: '.', search: (old: Search) => ({ ...old, lang }), replace: true })} />
        )}
        <Choice title={said.theme} value={chosen.theme ?? 'system'} options={Object.entries(said.themes)} onChange={(theme) => change({ theme: theme === 'light' || theme === 'dark' ? theme : undefined })} />
        <Choice title={said.start} about={said.startAbout} value={chosen.start?.slice(1) ?? 'scorecard'} options={Object.entries(said.pages)} onChange={(start) => change({ start: starts[start as keyof typeof starts] })} />
        <section className="card">
          <h2>{said.looked}</h2>
          <p className={css.about}>{looked ? fill(said.lookedOn, { day: day(looked, language) }) : said.never}</p>
          {may('GET /v1/changes') && <p><Link to="/monday" search={({ lang }) => ({ lang })}>{said.pages.monday}</Link></p>}
        </section>
        <section className="card">
          <h2>{said.you}</h2>
          {person ? (
            <dl className="definition">
              <div><dt>{said.you}</dt><dd>{personName(person.name, shared)}</dd></div>
              <div><dt>{said.roles}</dt><dd>{person.roles.map((role) => shared.roles[role as keyof typeof shared.roles] ?? role).join(', ')}</dd></div>
              {person.agency && <div><dt>{said.agency}</dt><dd>{person.agency}</dd></div>}
              {person.region && <div><dt>{said.region}</dt><dd>{person.region}</dd></div>}
            </dl>
          ) : <p className={css.about}>{said.nobody}</p>}
        </section>
      </div>
    </Page>
  )
}

function Choice({ title, about, value, options, onChange }: { title: string; about?: string; value: string; options: [string, string][]; onChange: (value: string) => void }) {
  return (
    <fieldset className={`card ${css.choice}`}>
      <legend>{title}</legend>
      {about && <p className={css.about}>{about}</p>}
      {options.map(([key, text]) => (
        <label key={key}><input type="radio" name={title} checked={key === value} onChange={() => onChange(key)} /> {text}</label>
      ))}
    </fieldset>
  )
}
