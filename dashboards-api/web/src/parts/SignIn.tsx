import { useWords } from '../words'

// SignIn is what somebody sees who is not known, or no longer: what this is, and how to come in.
export function SignIn({ by, title, ended }: { by: 'provider' | 'link'; title: string; ended: boolean }) {
  const words = useWords()
  const here = location.pathname + location.search
  return (
    <section className="sign-in">
      <img src="/icon.svg" alt="" width="56" height="56" />
      <h1>{title || 'Ombor'}</h1>
      {ended && <p className="notice">{words.ended}</p>}
      <p>{words.signInWhat}</p>
      {by === 'provider' ? (
        <p><a className="button main" href={`/sign-in?to=${encodeURIComponent(here)}`}>{words.signInProvider}</a></p>
      ) : (
        <div className="card">
          <p>{words.signInLink}</p>
          <p><code>ombor sign-in</code></p>
        </div>
      )}
    </section>
  )
}
