import { type ReactNode, startTransition, useEffect, useRef, useState } from 'react'
import { flushSync } from 'react-dom'

// Later draws what it holds when that comes near to what is seen, else as soon as the browser
// has nothing better to do, and before printing at once; until then place keeps the room. What
// a reader sees first so does not wait for what stands below. Each is drawn in pieces of a few
// milliseconds, so that a click in between is answered.
export function Later({ place, children }: { place: ReactNode; children: ReactNode }) {
  const [now, setNow] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (now) return
    const draw = () => startTransition(() => setNow(true))
    const print = () => flushSync(() => setNow(true))
    const near = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && draw(), { rootMargin: '50% 0px' })
    near.observe(box.current!)
    const stop = whenIdle(draw)
    addEventListener('beforeprint', print)
    return () => {
      near.disconnect()
      stop()
      removeEventListener('beforeprint', print)
    }
  }, [now])
  return now ? children : <div ref={box}>{place}</div>
}

// printWhole prints the page once all of it is drawn and nothing is on its way; after ten seconds
// what has not come says so on paper.
export async function printWhole(): Promise<void> {
  dispatchEvent(new Event('beforeprint')) // what waits to be drawn is drawn now, and asks for its figures
  const until = performance.now() + 10_000
  while (performance.now() < until && document.querySelector('.skeleton, main [aria-busy="true"]')) await new Promise((next) => setTimeout(next, 50))
  print()
}

// whenIdle calls once the browser has nothing to do, after two seconds in any case; what it
// returns takes the call back. Where a browser cannot tell, the next task is soon enough.
export function whenIdle(call: () => void): () => void {
  if (!('requestIdleCallback' in window)) {
    const timer = setTimeout(call)
    return () => clearTimeout(timer)
  }
  const asked = requestIdleCallback(call, { timeout: 2000 })
  return () => cancelIdleCallback(asked)
}
