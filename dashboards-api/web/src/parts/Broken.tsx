import { useLocation, useRouter } from '@tanstack/react-router'
import { useCallback, useEffect, useState } from 'react'
import { pause, Unfetched } from '../fetched'
import { localeOf } from '../format'
import { sections } from '../sections'
import { fill, useLanguage, useWords } from '../words'
import { Page } from './Page'
import { Failure } from './States'

// Broken stands within the frame in place of a page that could not be drawn. A page that did not
// come is asked for again until it comes. Where the server answers and has it no more, it has
// another version: then all is loaded again, by itself once for each version.
export function Broken({ error }: { error: unknown }) {
  const words = useWords()
  const language = useLanguage()
  const router = useRouter()
  const home = useLocation({ select: ({ pathname }) => '/' + pathname.split('/')[1] })
  const section = sections.find((s) => s.to === home)
  const [tried, setTried] = useState<Date>()
  const again = useCallback(async (asked: boolean) => {
    if (!(error instanceof Unfetched)) return location.reload()
    try {
      await error.again()
    } catch {
      if ((await answers()) && (asked || firstTime())) return location.reload()
      if (asked) setTried(new Date())
      return
    }
    await router.invalidate()
  }, [error, router])
  useEffect(() => {
    if (!(error instanceof Unfetched)) return undefined
    void again(false)
    const timer = setInterval(() => void again(false), pause)
    return () => clearInterval(timer)
  }, [error, again])
  return (
    <Page title={section ? words.sections[section.name] : words.errorTitle}>
      <Failure error={error} again={() => void again(true)}>
        <p role="status">{tried && fill(words.errorStill, { time: new Intl.DateTimeFormat(localeOf(language), { timeStyle: 'medium' }).format(tried) })}</p>
      </Failure>
    </Page>
  )
}

const answers = () => fetch('/', { cache: 'no-store' }).then(({ ok }) => ok, () => false)

// firstTime is true once for each version of the page while the browser's tab is open, and never
// where the browser keeps nothing.
function firstTime(): boolean {
  try {
    const before = sessionStorage.getItem('ombor.reloaded')
    sessionStorage.setItem('ombor.reloaded', import.meta.url)
    return before !== import.meta.url
  } catch {
    return false
  }
}
