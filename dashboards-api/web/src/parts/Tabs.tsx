import { Tabs as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { NotOffered } from './States'

export interface Tab {
  key: string
  title: string
  body: ReactNode
}

// Tabs shows one of several bodies. Which one is the page's to keep, best in the address (the
// part tab), so that a link opens the same picture; one that is not there is told. Arrow keys move between the titles.
export function Tabs({ label, tabs, open, onOpen }: { label: string; tabs: Tab[]; open: string | undefined; onOpen: (key: string) => void }) {
  const shown = tabs.find((t) => t.key === open) ?? tabs[0]
  if (!shown) return null
  return (
    <Radix.Root value={shown.key} onValueChange={onOpen} activationMode="manual">
      <NotOffered part="tab" value={open} options={tabs.map((t) => [t.key, t.title])} />
      <Radix.List className="tabs" aria-label={label}>
        {tabs.map((t) => <Radix.Trigger key={t.key} value={t.key}>{t.title}</Radix.Trigger>)}
      </Radix.List>
      {/* One body stands for all: the others are not there until they are opened. */}
      {tabs.map((t) => <Radix.Content key={t.key} value={t.key} className="tab">{t.key === shown.key && t.body}</Radix.Content>)}
    </Radix.Root>
  )
}
