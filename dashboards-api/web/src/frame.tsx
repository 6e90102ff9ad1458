import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { get, type Labels } from './api/client'
import { useLive } from './api/live'
import { useKeeping } from './api/kept'
import { useMay, useMe } from './api/me'
import type { Voice } from './finding'
import { localeOf } from './format'
import { Finder } from './parts/Finder'
import { Keys } from './parts/Keys'
import { Masthead } from './parts/Masthead'
import { SignIn } from './parts/SignIn'
import { Failure, Skeleton, Unread } from './parts/States'
import type { Search } from './search'
import { sections } from './sections'
import { change, useSettings } from './settings'
import { chooseLanguage, VoiceContext } from './voice'
import { fill, LanguageContext, nameIn, useWords, wordsOf } from './words'

// Frame is what stands around every page: masthead and navigation, the state of the
// connection, search and keys; and the way in for who is not known.
export function Frame() {
  const wanted = useSearch({ from: '__root__', select: (search) => search.lang })
  const labels = useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) })
  useSettings() // the language may have been chosen elsewhere
  const language = useDeferredValue(chooseLanguage(wanted, labels.data)) // every word of the page changes: drawn in pieces
  useEffect(() => {
    document.documentElement.lang = language
    if (wanted) change({ language: wanted })
  }, [language, wanted])
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
  const me = useMe()
  const stranger = me.data && !me.data.principal && !me.data.open
  const connection = useLive(onNews, me.data !== undefined && !stranger)
  const client = useQueryClient()
  const state = useRef(connection.state)
  useEffect(() => {
    if (state.current === 'lost' && connection.state === 'open') {
      say(wordsOf(language).back)
      void client.refetchQueries({ predicate: (query) => query.state.status === 'error' })
    }
    // Somebody whose session has ended is no longer told, either.
    if (state.current === 'open' && connection.state === 'lost') void client.invalidateQueries({ queryKey: ['me'] }, { cancelRefetch: false })
    state.current = connection.state
  }, [connection.state, client, language])
  const [known, setKnown] = useState(false)
  if (me.data?.principal && !known) setKnown(true)
  const ended = Boolean(stranger && known)
  useEffect(() => {
    if (!ended) return
    say(wordsOf(language).ended)
    document.getElementById('content')?.focus() // what had it is gone
    client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' && queryKey[0] !== 'labels' }) // what was read goes with the session
  }, [ended, client, language])
  useKeeping()
  useKeys(useCallback(() => showSearch(true), []), useCallback(() => showKeys(true), []))
  return (
    <>
      <a className="skip" href="#content">{words.skip}</a>
      <Masthead labels={labels} me={me.data} onSearch={() => showSearch(true)} />
      {connection.state === 'lost' && (
        <p className="notice lost" role="status">
          {fill(words.lost, { time: new Intl.DateTimeFormat(localeOf(language), { hour: '2-digit', minute: '2-digit' }).format(connection.since) })}
        </p>
      )}
      <main id="content" tabIndex={-1}>
        {me.isError && !me.data ? <Failure error={me.error} again={() => void me.refetch()} />
          : !me.data ? <Skeleton rows={6} kind="row" />
          : stranger ? <SignIn by={me.data.sign_in} title={nameIn(labels?.title, language)} ended={ended} />
          : <><Unread /><Outlet /></>}
      </main>
      <footer>
        <span>Ombor{labels?.version ? ` ${labels.version}` : ''}</span>
        <a href="/docs">{words.documentation}</a>
        <button type="button" className="quiet" onClick={() => showKeys(true)}>{words.keys} <kbd aria-hidden="true">?</kbd></button>
      </footer>
      <div className="spoken" role="status" aria-live="polite">{said}</div>
      <Keys open={keysOpen} onClose={() => showKeys(false)} />
      <Finder open={searchOpen} onClose={() => showSearch(false)} />
    </>
  )
}

// useKeys listens, outside of fields that take text, for "/", "?" and "g" with the key of a
// section that the reader may open.
function useKeys(search: () => void, help: () => void) {
  const before = useRef('')
  const navigate = useNavigate()
  const may = useMay()
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.composedPath()[0] as HTMLElement // also within the editor, whose host the event would name
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, select, textarea, dialog, [contenteditable]')) return
      if (event.key === '/') {
        event.preventDefault()
        search()
      } else if (event.key === '?') help()
      else if (before.current === 'g') {
        const section = sections.find((s) => s.key === event.key)
        if (section && may(section.needs)) void navigate({ to: section.to, search: ({ lang }: Search) => ({ lang }) })
      }
      before.current = event.key
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [search, help, navigate, may])
}

export function NotFound() {
  const words = useWords()
  return (
    <section className="empty">
      <h1>{words.notFound}</h1>
      <p>{words.notFoundHint}</p>
      <p><Link to="/" search={({ lang }) => ({ lang })}>{words.backToScorecard}</Link></p>
    </section>
  )
}
