import { useSyncExternalStore } from 'react'

// useMedia says whether a media query holds now.
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (again) => {
      const media = matchMedia(query)
      media.addEventListener('change', again)
      return () => media.removeEventListener('change', again)
    },
    () => matchMedia(query).matches,
  )
}

// useWall is a screen so wide that two tables stand beside each other. As in styles.css.
export const useWall = () => useMedia('(min-width: 2200px)')

// useNarrow is a phone: one column, menus and filters in sheets. As in styles.css.
export const useNarrow = () => useMedia('(max-width: 860px)')
