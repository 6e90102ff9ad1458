import { autocompletion, closeBrackets, closeBracketsKeymap, type CompletionContext, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { type SQLNamespace, schemaCompletionSource, sql, SQLDialect, SQLite } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState, Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { type Ref, useEffect, useImperativeHandle, useRef } from 'react'
import type { WorkbenchSchema } from '../../api/client'

// ClickHouse's words beside those of any SQL, which the package tells only within a dialect.
const clickhouse = SQLDialect.define({
  keywords: `${SQLite.spec.keywords} array asof any anti semi global prewhere final sample settings format limit offset by qualify ilike rollup cube totals with fill step interpolate window partition rows range unbounded preceding following using if`,
  types: 'string fixedstring uint8 uint16 uint32 uint64 int8 int16 int32 int64 float32 float64 decimal date date32 datetime datetime64 array tuple map nullable lowcardinality bool uuid',
  backslashEscapes: true, hashComments: false, doubleDollarQuotedStrings: false, identifierQuotes: '"`', caseInsensitiveIdentifiers: false,
})

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '14px', color: 'var(--ink)', backgroundColor: 'var(--surface)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-scroller': { fontFamily: 'ui-monospace, "Cascadia Mono", Menlo, monospace', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--ink)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--muted)', borderRight: '1px solid var(--soft)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--soft) 55%, transparent)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--accent-soft) !important' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft) !important', outline: '1px solid var(--accent)' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', color: 'var(--ink)', border: '1px solid var(--line)', borderRadius: '8px', overflow: 'hidden' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--surface)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected] .cm-completionDetail': { color: 'var(--surface)' },
  '.cm-completionDetail': { color: 'var(--muted)', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-completionInfo': { maxWidth: '24rem', padding: '8px 12px', fontFamily: "'Inter Variable', system-ui, sans-serif" },
})

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--risk)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--on)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--off)' },
])

export interface Handle {
  text: () => string
  replace: (text: string) => void // as one step that can be undone
  insert: (text: string) => void // in place of what is selected
}

export interface Named {
  id: string
  title: string
}

interface Props {
  ref: Ref<Handle>
  label: string
  initial: string
  schema: WorkbenchSchema | undefined
  kpis: Named[]
  onChange: (text: string) => void
  onRun: () => void
}

// Editor is CodeMirror. It lives in a shadow tree, where it adopts style sheets instead of
// writing style elements, which the page's security policy does not allow. Tab leaves it, as
// everything else on the page; Mod-Enter runs.
export function Editor({ ref, label, initial, schema, kpis, onChange, onRun }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const language = useRef(new Compartment())
  const act = useRef({ onChange, onRun })
  act.current = { onChange, onRun }
  const first = useRef({ initial, label })
  useEffect(() => {
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: 'open', delegatesFocus: true })
    const editor = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: first.current.initial,
        extensions: [
          lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), autocompletion({ icons: false }), highlightActiveLine(),
          EditorView.lineWrapping, theme, syntaxHighlighting(colours), language.current.of([]),
          EditorView.contentAttributes.of({ 'aria-label': first.current.label, spellcheck: 'false' }),
          Prec.highest(keymap.of([{ key: 'Mod-Enter', run: () => (act.current.onRun(), true) }])),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
          EditorView.updateListener.of((update) => update.docChanged && act.current.onChange(update.state.doc.toString())),
        ],
      }),
    })
    view.current = editor
    return () => editor.destroy()
  }, [])
  useEffect(() => {
    if (schema) view.current?.dispatch({ effects: language.current.reconfigure(knowing(schema, kpis)) })
  }, [schema, kpis])
  useImperativeHandle(ref, () => ({
    text: () => view.current?.state.doc.toString() ?? '',
    replace: (text) => view.current?.dispatch({ changes: { from: 0, to: view.current.state.doc.length, insert: text } }),
    insert: (text) => {
      if (!view.current) return
      view.current.dispatch(view.current.state.replaceSelection(text))
      view.current.focus()
    },
  }), [])
  return <div ref={host} className="wb-editor" data-editor="" />
}

// knowing is the language with the tables, columns, functions and KPIs that there are. KPIs are
// offered within quotes, where kpi_values asks for their ids.
function knowing(schema: WorkbenchSchema, kpis: Named[]) {
  const tables: SQLNamespace = Object.fromEntries(schema.tables.map((t) => [t.name, {
    self: { label: t.name, type: 'class', detail: first(t.about) },
    children: t.columns.map((c) => ({ label: c.name, type: 'property', detail: c.type, info: c.about })),
  }]))
  const functions = schema.functions.map((name) => ({ label: name, type: 'function', apply: `${name}(` }))
  const ids = kpis.map((k) => ({ label: k.id, type: 'constant', detail: k.title }))
  const named = schemaCompletionSource({ dialect: clickhouse, schema: tables })
  return [
    sql({ dialect: clickhouse, upperCaseKeywords: true }),
    clickhouse.language.data.of({ autocomplete: named }),
    clickhouse.language.data.of({
      autocomplete: (context: CompletionContext) => {
        const quoted = context.matchBefore(/'[\w-]*/)
        if (quoted) return { from: quoted.from + 1, options: ids, validFor: /^[\w-]*$/ }
        const word = context.matchBefore(/\w+/)
        return word || context.explicit ? { from: word?.from ?? context.pos, options: functions, validFor: /^\w*$/ } : null
      },
    }),
    clickhouse.language.data.of({ autocomplete: columnsOf(schema) }),
  ]
}

// columnsOf offers the columns of the tables that the statement names, without their table.
const columnsOf = (schema: WorkbenchSchema) => (context: CompletionContext) => {
  const word = context.matchBefore(/[\w.]+/)
  if (!word || word.text.includes('.')) return null
  const text = context.state.doc.toString()
  const options = schema.tables
    .filter((t) => new RegExp(`\\b${t.name}\\b`).test(text))
    .flatMap((t) => t.columns.map((c) => ({ label: c.name, type: 'property', detail: c.type, info: c.about, boost: 1 })))
  return { from: word.from, options, validFor: /^\w*$/ }
}

const first = (about: string) => about.split(/[.;:]/, 1)[0]!.slice(0, 60)
