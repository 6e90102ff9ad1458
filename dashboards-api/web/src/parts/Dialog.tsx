import { type ReactNode, useEffect, useId, useRef } from 'react'
import { useWords } from '../words'

// Dialog is the browser's own: it traps focus, closes on Escape and gives focus back. A sheet
// stands at the lower edge of a phone, within reach of the thumb.
export function Dialog({ open, onClose, title, sheet = false, children }: { open: boolean; onClose: () => void; title: string; sheet?: boolean; children: ReactNode }) {
  const words = useWords()
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const dialog = ref.current
    if (!dialog) return
    if (open && !dialog.open) dialog.showModal()
    if (!open && dialog.open) dialog.close()
  }, [open])
  return (
    <dialog ref={ref} className={sheet ? 'sheet' : undefined} aria-labelledby={id} onClose={onClose} onClick={(event) => event.target === ref.current && onClose()}>
      <div className="inside">
        <div className="head"><h2 id={id}>{title}</h2><button type="button" className="quiet" onClick={onClose}>{words.close}</button></div>
        {open && children}
      </div>
    </dialog>
  )
}
