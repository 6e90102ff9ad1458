import { useWords } from '../words'

// SignIn is what somebody sees who is not known: how to become so.
export function SignIn({ by }: { by: 'provider' | 'link' }) {
  const words = useWords()
  const here = location.pathname + location.search
  return (
    <section className="empty">
      <h1>{words.signIn}</h1>
      {by === 'provider' ? (
        <p><a className="button" href={`/sign-in?to=${encodeURIComponent(here)}`}>{words.signInProvider}</a></p>
      ) : (
        <>
          <p>{words.signInLink}</p>
          <p><code>ombor sign-in</code></p>
        </>
      )}
    </section>
  )
}

// Person is who is signed in, with the way out.
export function Person({ name }: { name: string }) {
  const words = useWords()
  return (
    <form method="post" action="/sign-out" className="person">
      <span>{name}</span>
      <button type="submit" className="quiet">{words.signOut}</button>
    </form>
  )
}
