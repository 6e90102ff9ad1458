import { useRouter } from '@tanstack/react-router'
import type { ComponentProps, MouseEvent } from 'react'
import { type Search, writeSearch } from '../search'

// Way is a link to what a part of a chart stands for: to is a path of the page, or "." for the
// one that is open. It is for where there are many: the router's own Link computes its address
// anew with every change of the address, this one when it is drawn. The page stays where it is
// scrolled to.
export function Way({ to = '.', search, ...rest }: { to?: string | undefined; search: Search } & ComponentProps<'a'>) {
  const router = useRouter()
  const go = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.altKey || event.ctrlKey || event.shiftKey) return
    event.preventDefault()
    void router.navigate({ to: to as '.', search: search as never, resetScroll: false })
  }
  return <a {...rest} href={(to === '.' ? location.pathname : to) + writeSearch(search)} onClick={go} />
}
