import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { Labels, Me } from '../api/client'
import { useMay } from '../api/me'
import { useNarrow } from '../screen'
import type { Search } from '../search'
import { sections } from '../sections'
import { change, useSettings } from '../settings'
import { offered, themeNow } from '../voice'
import { dictionaries, nameIn, personName, shortNames, useLanguage, useWords } from '../words'
import { Dialog } from './Dialog'
import { Popover } from './Popover'

interface Props {
  labels: Labels | undefined
  me: Me | undefined
  onSearch: () => void
}

// Masthead is the top of every page. On a phone all but the search stands in a sheet.
export function Masthead({ labels, me, onSearch }: Props) {
  const words = useWords()
  const language = useLanguage()
  const narrow = useNarrow()
  const known = me !== undefined && (me.principal !== null || me.open)
  const [menu, showMenu] = useState(false)
  return (
    <header className="masthead">
      <div className="top">
        <Link to="/" search={({ lang }) => ({ lang })} className="brand">
          <img src="/icon.svg" alt="" width="28" height="28" /> <span>Ombor</span>
        </Link>
        {labels && <span className="pack">{nameIn(labels.title, language)}</span>}
        {known && (
          <button type="button" className="search" onClick={onSearch} aria-label={words.search} aria-keyshortcuts="/">
            <Icon name="search" /> <span className="label">{words.search}</span> <kbd aria-hidden="true">/</kbd>
          </button>
        )}
        {narrow ? (
          <button type="button" className="icon" aria-label={words.menu} aria-expanded={menu} onClick={() => showMenu(true)}><Icon name="menu" /></button>
        ) : (
          <>
            {labels && <Languages choice={offered(labels.languages)} />}
            <Theme />
            {known && (
              <Popover className="icon" label={words.account} button={<><Icon name="person" /><span className="spoken">{words.account}</span></>}>
                <Account me={me} />
              </Popover>
            )}
          </>
        )}
      </div>
      {narrow ? (
        <Dialog open={menu} onClose={() => showMenu(false)} title={words.menu} sheet>
          <div className="menu" onClick={(event) => (event.target as HTMLElement).closest('a') && showMenu(false)}>
            {known && <Sections />}
            <div className="menu-row">
              {labels && <Languages choice={offered(labels.languages)} />}
              <Theme />
            </div>
            {known && <Account me={me} />}
          </div>
        </Dialog>
      ) : me === undefined ? <div className="nav-place" /> : known && <Sections />}
    </header>
  )
}

function Sections() {
  const words = useWords()
  const may = useMay()
  return (
    <nav aria-label={words.menu}>
      {sections.filter((s) => may(s.needs)).map((s) => (
        <Link key={s.to} to={s.to} search={({ lang }) => ({ lang })} activeOptions={{ includeSearch: false, exact: s.to === '/' }} preload="intent">{words.sections[s.name]}</Link>
      ))}
    </nav>
  )
}

// Account is who reads, their settings, what operators have besides, and the way out.
function Account({ me }: { me: Me }) {
  const words = useWords()
  const may = useMay()
  const person = me.principal
  return (
    <div className="account">
      {person && (
        <p>
          <b>{personName(person.name, words)}</b>
          <span>{person.roles.map((role) => words.roles[role as keyof typeof words.roles] ?? role).join(', ')}</span>
        </p>
      )}
      <Link to="/settings" search={({ lang }) => ({ lang })}>{words.settings}</Link>
      {may('GET /v1/keys') && <Link to="/operate" search={({ lang }) => ({ lang })}>{words.operate}</Link>}
      {person ? (
        <form method="post" action="/sign-out"><button type="submit">{words.signOut}</button></form>
      ) : (
        me.sign_in === 'provider' && <a className="button" href={`/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`}>{words.signIn}</a>
      )}
    </div>
  )
}

export function Languages({ choice }: { choice: string[] }) {
  const words = useWords()
  const language = useLanguage()
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
  useSettings()
  const other = themeNow() === 'dark' ? 'light' : 'dark'
  return (
    <button type="button" className="icon" aria-label={`${words.theme}: ${words[other]}`} title={words[other]} onClick={() => change({ theme: other })}><Icon name="theme" /></button>
  )
}

const icons = {
  search: <><circle cx="7" cy="7" r="4.75" /><path d="m10.5 10.5 4 4" /></>,
  menu: <path d="M1.5 4h13M1.5 8h13M1.5 12h13" />,
  person: <><circle cx="8" cy="5.25" r="3" /><path d="M2 14.5c.6-3 3-4.5 6-4.5s5.400 1.500 6 4.500" /></>,
  theme: <><circle cx="8" cy="8" r="6.5" /><path d="M8 1.5a6.500 6.500 0 0 1 0 13z" fill="currentColor" stroke="none" /></>,
}

function Icon({ name }: { name: keyof typeof icons }) {
  return <svg viewBox="0 0 16 16" width="18" height="18" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" aria-hidden="true">{icons[name]}</svg>
}
