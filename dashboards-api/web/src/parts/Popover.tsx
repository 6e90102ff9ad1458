import { Popover as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

// Popover opens a small panel beside its button: Escape and a click elsewhere close it, and
// focus goes in and comes back. It is not modal, for a modal one of Radix writes a style element,
// which the page's security policy does not allow.
export function Popover({ button, label, className, children }: { button: ReactNode; label: string; className?: string; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger className={className}>{button}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className="popover" aria-label={label} align="end" sideOffset={6} collisionPadding={12}>{children}</Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
