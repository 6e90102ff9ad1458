import { useMay } from '../api/me'
import { sections } from '../sections'
import { fill, useWords } from '../words'
import { Dialog } from './Dialog'

// Keys lists the keys of the page.
export function Keys({ open, onClose }: { open: boolean; onClose: () => void }) {
  const words = useWords()
  const may = useMay()
  const rows: [string, string][] = [
    ['/', words.keysSearch],
    ...sections.filter((s) => may(s.needs)).map((s): [string, string] => [`g ${s.key}`, fill(words.keysGo, { section: words.sections[s.name] })]),
    ['?', words.keysHelp], ['Esc', words.keysClose],
  ]
  return (
    <Dialog open={open} onClose={onClose} title={words.keys}>
      <dl className="keys">{rows.map(([key, what]) => <div key={key}><dt>{key.split(' ').map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
    </Dialog>
  )
}
