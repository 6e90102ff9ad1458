import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { get, type Labels } from './api/client'
import { useLive } from './api/live'
import { type Route, useMay, useMe } from './api/me'
import type { Voice } from './finding'
import { localeOf } from './format'
import { KeysDialog, SearchDialog } from './parts/Dialogs'
import type { Search } from './search'
import { Person, SignIn } from './parts/SignIn'
import { chooseLanguage, offered, remember, setTheme, themeNow, VoiceContext } from './voice'
import { dictionaries, fill, LanguageContext, shortNames, useWords, type Words, wordsOf } from './words'

// Frame is what stands around every page: masthead, navigation, connection, search.
export function Frame() {
  const search = useSearch({ from: '__root__' })
  const labels = useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) })
  const language = chooseLanguage(search.lang, labels.data)
  useEffect(() => {
    document.documentElement.lang = language
    if (search.lang) remember(search.lang)
  }, [language, search.lang])
  const voice = useMemo<Voice>(
    () => ({ language, zone: labels.data?.zone ?? 'UTC', labels: labels.data?.labels[language] ?? {} }),
    [language, labels.data],
  )
  return (
    <LanguageContext value={language}>
      <VoiceContext value={voice}>
        <Around labels={labels.data} language={language} />
      </VoiceContext>
    </LanguageContext>
  )
}

function Around({ labels, language }: { labels: Labels | undefined; language: string }) {
  const words = useWords()
  const [said, say] = useState('')
  const onNews = useCallback(() => say(wordsOf(language).news), [language])
  const [keysOpen, showKeys] = useState(false)
  const [searchOpen, showSearch] = useState(false)
  useKeys(useCallback(() => showSearch(true), []), useCallback(() => showKeys(true), []))
  const me = useMe()
  const may = useMay()
  const stranger = me.data && !me.data.principal && !me.data.open
  const connection = useLive(onNews, me.data !== undefined && !stranger)
  const title = labels?.title[language] ?? labels?.title.en ?? ''
  return (
    <>
      <a className="skip" href="#content">{words.skip}</a>
      <header className="masthead">
        <Link to="/" search={({ lang }) => ({ lang })} className="brand">
          <img src="/icon.svg" alt="" width="24" height="24" /> Ombor
        </Link>
        {title && title !== 'Ombor' && <span className="pack">{title}</span>}
        <nav aria-label={words.menu}>
          {sections.filter((s) => may(s.needs)).map((s) => (
            <Link key={s.to} to={s.to} data-key={s.key} search={({ lang }) => ({ lang })} activeOptions={{ includeSearch: false, exact: s.to === '/' }}>{words.sections[s.name]}</Link>
          ))}
        </nav>
        <button type="button" className="search" onClick={() => showSearch(true)}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="7" cy="7" r="4.75" fill="none" stroke="currentColor" strokeWidth="1.5" /><path d="m10.5 10.5 4 4" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" /></svg>
          <span>{words.search}</span> <kbd aria-hidden="true">/</kbd>
        </button>
        {labels && <Languages language={language} choice={offered(labels.languages)} />}
        <Theme />
        {me.data?.principal && <Person name={me.data.principal.name} />}
      </header>
      {connection.state === 'lost' && (
        <p className="notice lost" role="status">
          {fill(words.lost, { time: new Intl.DateTimeFormat(localeOf(language), { hour: '2-digit', minute: '2-digit' }).format(connection.since) })}
        </p>
      )}
      <main id="content" tabIndex={-1}>
        {stranger ? <SignIn by={me.data.sign_in} /> : me.data && <Outlet />}
      </main>
      <footer>
        <a href="/docs">{words.documentation}</a>
        <button type="button" className="quiet" onClick={() => showKeys(true)}>{words.keys} <kbd aria-hidden="true">?</kbd></button>
        {labels?.version && <span>{labels.version}</span>}
      </footer>
      <div className="spoken" role="status" aria-live="polite">{said}</div>
      <KeysDialog open={keysOpen} onClose={() => showKeys(false)} />
      <SearchDialog open={searchOpen} onClose={() => showSearch(false)} />
    </>
  )
}

function Languages({ language, choice }: { language: string; choice: string[] }) {
  const words = useWords()
  const navigate = useNavigate()
  if (choice.length < 2) return null
  return (
    <div className="languages" role="group" aria-label={words.languages}>
      {choice.map((l) => (
        <button key={l} type="button" lang={l} aria-pressed={l === language} title={dictionaries[l]!.language}
          onClick={() => void navigate({ to: '.', search: (old: Search) => ({ ...old, lang: l }), replace: true, resetScroll: false })}>
          {shortNames[l]}
        </button>
      ))}
    </div>
  )
}

function Theme() {
  const words = useWords()
  const [theme, set] = useState(themeNow)
  const other = theme === 'dark' ? 'light' : 'dark'
  return (
    <button type="button" className="theme" aria-label={`${words.theme}: ${words[other]}`} title={words[other]}
      onClick={() => {
        setTheme(other)
        set(other)
      }}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" strokeWidth="1.5" /><path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor" /></svg>
    </button>
  )
}

// useKeys listens for "/", "?" and "g s" outside of fields that take text.
function useKeys(search: () => void, help: () => void) {
  const before = useRef('')
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, select, textarea, dialog')) return
      if (event.key === '/') {
        event.preventDefault()
        search()
      } else if (event.key === '?') help()
      else if (event.key === 's' && before.current === 'g') document.querySelector<HTMLElement>('[data-key="s"]')?.click()
      before.current = event.key
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [search, help])
}

// Sections are the navigation: who may not use what a section stands on does not see it.
const sections: { to: "/" | "/services" | "/agencies" | "/regions" | "/projects" | "/promises" | "/quality"; name: keyof Words['sections']; needs: Route; key: string }[] = [
  { to: '/', name: 'scorecard', needs: 'GET /v1/scorecard', key: 's' },
  { to: '/services', name: 'services', needs: 'GET /v1/services', key: 'v' },
  { to: '/agencies', name: 'agencies', needs: 'GET /v1/organisations', key: 'a' },
  { to: '/regions', name: 'regions', needs: 'GET /v1/regions', key: 'r' },
  { to: '/projects', name: 'projects', needs: 'GET /v1/projects', key: 'p' },
  { to: '/promises', name: 'promises', needs: 'GET /v1/targets', key: 'm' },
  { to: '/quality', name: 'quality', needs: 'GET /v1/quality', key: 'q' },
]

export function NotFound() {
  const words = useWords()
  return (
    <section className="empty">
      <h1>{words.notFound}</h1>
      <p><Link to="/" search={({ lang }) => ({ lang })}>{words.backToScorecard}</Link></p>
    </section>
  )
}
