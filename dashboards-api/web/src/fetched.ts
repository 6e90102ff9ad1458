import { ApiError } from './api/client'

// Scripts and style sheets of a page come when it is opened: when the server is away then, or has
// another version by now, they do not.

// Unfetched is a page of which something did not come; again asks for it once more.
export class Unfetched extends ApiError {
  readonly again: () => Promise<unknown>

  constructor(again: () => Promise<unknown>) {
    super(0, '')
    this.again = again
  }
}

// Style sheets that did not come. What the bundler writes around an import asks for each once, and
// takes it for there from then on: without this the page would come without its looks.
const missing = new Set<HTMLLinkElement>()
addEventListener('error', ({ target }) => target instanceof HTMLLinkElement && target.rel === 'stylesheet' && missing.add(target), true)

const anew = (link: HTMLLinkElement) =>
  new Promise<Event>((come, fail) => {
    const next = link.cloneNode() as HTMLLinkElement
    next.onload = come
    next.onerror = fail
    missing.delete(link)
    link.replaceWith(next)
  })

// fetched wraps an import so that it fails with Unfetched, and can be tried again.
export const fetched = <T>(load: () => Promise<T>) => async (): Promise<T> => {
  try {
    await Promise.all([...missing].map(anew))
    return await load()
  } catch {
    throw new Unfetched(fetched(load))
  }
}

// coming is an import that is tried again until it comes, every three seconds.
export async function coming<T>(load: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await fetched(load)()
    } catch {
      await new Promise((next) => setTimeout(next, pause))
    }
  }
}

// How long to wait before asking again for what did not come, in milliseconds.
export const pause = 3000
