package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	dashboards "ombor/dashboards-api"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/queries"
)

// facts are what the API and the dictionary tell of a pack.
func facts(p *pack.Pack) dashboards.Facts {
	return dashboards.Facts{
		Name: p.Name, Title: p.Title, Languages: p.Languages, Zone: p.Zone, Currency: p.Currency, Labels: p.Labels, KPIs: p.KPIs, Targets: p.Targets,
		Contracts: p.Set, Reference: p.Reference, Sources: senders(p), Examples: p.Examples,
	}
}

// senders are the sources that a pack expects.
func senders(p *pack.Pack) map[string]queries.Sender {
	list := map[string]queries.Sender{}
	for id, source := range p.Sources {
		list[id] = queries.Sender{Title: source.Title, Owner: source.Owner, Freshness: source.Freshness}
	}
	return list
}

func newContract() *cobra.Command {
	c := &cobra.Command{
		Use:   "contract [TYPE]",
		Short: "Explain the event types of a pack: fields, words, privacy, who reads them",
		Long: `Without TYPE the event types are listed; with one, its fields are explained. The data
dictionary as a document comes with --format markdown or html, as data with json; schema
is the JSON Schema of one type, asyncapi the AsyncAPI 3.0 document of all.

The pack is read by itself; no server is needed.`,
		Example: `  ombor contract
  ombor contract uz.gov.request.decided.v1 --language uz
  ombor contract --format html > dictionary.html
  ombor contract --format asyncapi > asyncapi.json`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			format, err := formatFlag(c, "table", "markdown", "html", "json", "schema", "asyncapi")
			if err != nil {
				return err
			}
			from, _ := c.Flags().GetString("pack")
			p, err := readPack(from, pack.Checks{})
			if err != nil {
				return err
			}
			language, _ := c.Flags().GetString("language")
			if language == "" {
				language = p.Languages[0]
			}
			if !slices.Contains(p.Languages, language) {
				return problem.New(problem.BadInput, "the pack has no language %q; it has %s", language, strings.Join(p.Languages, ", ")).In("language")
			}
			entries := dashboards.Dictionary(facts(p))
			if len(names) == 1 {
				if p.Set.ByType(names[0]) == nil {
					return problem.New(problem.NotFound, "there is no event type %q; 'ombor contract' lists them", names[0]).In("type").
						Also("uz", "“%s” turidagi hodisalar yoʻq; ular roʻyxatini “ombor contract” beradi.", names[0]).
						Also("ru", "Событий вида «%s» нет; их перечень даёт «ombor contract».", names[0])
				}
				entries = slices.DeleteFunc(entries, func(e dashboards.DictionaryEntry) bool { return e.Type != names[0] })
			}
			out := c.OutOrStdout()
			switch format {
			case "json":
				return json.NewEncoder(out).Encode(map[string]any{"entries": entries})
			case "schema":
				if len(names) == 0 {
					return problem.New(problem.BadInput, "name the event type whose JSON Schema is wanted").In("type").
						Also("uz", "JSON Schema kerak boʻlgan hodisa turini koʻrsating.").
						Also("ru", "Укажите вид события, чья JSON Schema нужна.")
				}
				_, err = out.Write(p.Set.ByType(names[0]).JSONSchema())
				return err
			case "asyncapi":
				_, err = out.Write(p.Set.AsyncAPI(p.Title.In("en"), version, p.Examples))
				return err
			case "markdown":
				markdownDictionary(out, tongue(language), p.Title.In(language), chapters(p, entries, language))
				return nil
			case "html":
				return dictionaryPage.Execute(out, map[string]any{"Title": p.Title.In(language), "Language": language, "Say": tongue(language).say, "Columns": tongue(language).row(chapterColumns...), "Chapters": chapters(p, entries, language)})
			}
			printContracts(out, p, entries, language, len(names) == 1)
			return nil
		},
	}
	f := c.Flags()
	f.String("pack", "", "folder or zip of a pack; the embedded one when not told")
	f.String("language", "", "of titles and words; the pack's first when not told")
	f.String("format", "table", "table, markdown, html, json, schema or asyncapi")
	return c
}

// printContracts lists event types, or the fields of one.
func printContracts(out io.Writer, p *pack.Pack, entries []dashboards.DictionaryEntry, language string, fields bool) {
	in := tongue(language)
	if !fields {
		rows := [][]string{in.row("type", "what", "source", "fields")}
		for _, c := range p.Set.All() {
			rows = append(rows, []string{c.Type, c.Title.In(language), c.Source, fmt.Sprint(len(c.Fields))})
		}
		printTable(out, rows, map[int]bool{3: true})
		return
	}
	c := p.Set.ByType(entries[0].Type)
	fmt.Fprintf(out, "%s: %s\n%s\n\n", c.Type, c.Title.In(language), c.About)
	rows := [][]string{in.row(chapterColumns...)}
	for _, e := range entries {
		rows = append(rows, []string{e.Field, typeOf(e), in.needed(e), in.say(e.Class), what(e, language), in.readBy(e)})
	}
	printTable(out, rows, nil)
	for _, r := range c.Rules {
		fmt.Fprintln(out, in.say("rule %s: %s", r.ID, r.Check))
	}
	fmt.Fprintln(out, in.say("kept: warehouse %s, lake %s; sent by %s, %s", in.months(c.Retention.Warehouse), in.months(c.Retention.Lake), or(c.Source, "Ombor"), or(entries[0].OwnerNames.In(language), entries[0].Owner)))
}

func typeOf(e dashboards.DictionaryEntry) string {
	switch {
	case e.Reference != "":
		return "ref to " + e.Reference
	case e.Identifier != "":
		return "person, " + e.Identifier
	case e.Unit != "":
		return e.FieldType + ", " + e.Unit
	}
	return e.FieldType
}

func (t tongue) needed(e dashboards.DictionaryEntry) string {
	if e.Required {
		return t.say("required")
	}
	return ""
}

// what tells of a field in a language: its title, what is said about it, its values.
func what(e dashboards.DictionaryEntry, language string) string {
	var parts []string
	for _, text := range []string{e.Title.In(language), e.About} {
		if text != "" {
			parts = append(parts, strings.TrimSuffix(text, "."))
		}
	}
	if len(e.Values) > 0 {
		var values []string
		for _, v := range e.Values {
			if words := v.Words.In(language); words != "" {
				values = append(values, v.Value+" ("+words+")")
			} else {
				values = append(values, v.Value)
			}
		}
		parts = append(parts, strings.Join(values, ", "))
	}
	return strings.Join(parts, ". ")
}

func (t tongue) readBy(e dashboards.DictionaryEntry) string {
	const most = 3
	if len(e.KPIs) > most {
		return t.say("%s and %d more", strings.Join(e.KPIs[:most], ", "), len(e.KPIs)-most)
	}
	return strings.Join(e.KPIs, ", ")
}

// months writes how long rows are kept.
func (t tongue) months(n int) string {
	switch {
	case n == 0:
		return t.say("for ever")
	case n%12 == 0:
		return t.say("%d years", n/12)
	}
	return t.say("%d months", n)
}

// chapter is one event type of the dictionary as a document.
type chapter struct {
	Type, Title, About, Kept, Sender string
	Rows                             [][]string
}

var chapterColumns = []string{"field", "type", "", "privacy", "what", "read by"}

func chapters(p *pack.Pack, entries []dashboards.DictionaryEntry, language string) []*chapter {
	in := tongue(language)
	var list []*chapter
	for _, e := range entries {
		if len(list) == 0 || list[len(list)-1].Type != e.Type {
			c := p.Set.ByType(e.Type)
			list = append(list, &chapter{Type: e.Type, Title: c.Title.In(language), About: strings.TrimSpace(c.About),
				Kept:   in.say("warehouse %s, lake %s", in.months(c.Retention.Warehouse), in.months(c.Retention.Lake)),
				Sender: or(c.Source, "Ombor") + ", " + or(e.OwnerNames.In(language), e.Owner)})
		}
		last := list[len(list)-1]
		last.Rows = append(last.Rows, []string{e.Field, typeOf(e), in.needed(e), in.say(e.Class), what(e, language), strings.Join(e.KPIs, ", ")})
	}
	return list
}

// markdownDictionary writes the dictionary as Markdown.
func markdownDictionary(out io.Writer, in tongue, title string, list []*chapter) {
	escape := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	fmt.Fprintf(out, "# %s\n", escape.Replace(title))
	for _, c := range list {
		fmt.Fprintf(out, "\n## %s\n\n`%s`. %s\n\n%s\n\n| %s |\n|%s\n", escape.Replace(c.Title), c.Type, escape.Replace(c.About), in.say("Sent by %s. Kept: %s.", c.Sender, c.Kept),
			strings.Join(in.row(chapterColumns...), " | "), strings.Repeat("---|", len(chapterColumns)))
		for _, row := range c.Rows {
			for i, cell := range row {
				row[i] = escape.Replace(cell)
			}
			fmt.Fprintf(out, "| `%s` | %s |\n", row[0], strings.Join(row[1:], " | "))
		}
	}
}

// dictionaryPage is the dictionary as one page that needs nothing beside it.
var dictionaryPage = template.Must(template.New("dictionary").Parse(`<!doctype html>
<html lang="{{.Language}}">
<meta charset="utf-8">
<title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}
th,td{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}h2{margin-top:2.5rem}</style>
<h1>{{.Title}}</h1>
{{- range .Chapters}}
<h2 id="{{.Type}}">{{.Title}}</h2>
<p><code>{{.Type}}</code>. {{.About}}</p>
<p>{{call $.Say "Sent by %s. Kept: %s." .Sender .Kept}}</p>
<table><tr>{{range $.Columns}}<th>{{.}}</th>{{end}}</tr>
{{- range .Rows}}
<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{- end}}
</table>
{{- end}}
</html>
`))
