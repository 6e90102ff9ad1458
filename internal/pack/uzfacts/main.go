// Command uzfacts transcribes the published facts about Uzbekistan's public services
// and districts into the reference tables of the pack uz. It is run by hand when the
// facts are published anew:
//
//	go run ./internal/pack/uzfacts -facts DIR -out internal/pack/uz/reference
//
// DIR holds uz_services/services.tsv (the services of my.gov.uz as its pages show
// them) and uz_reference/districts.csv (the SOATO list). services.csv and
// districts.csv are written; organisations.csv is kept by hand and only read.
// The package's test holds the committed tables to what this program writes.
//
// What it does to the facts, and nothing else:
//
//   - Spelling. Five apostrophes and the grave accent become U+02BB; Cyrillic letters
//     that stand in a Latin word (and Latin ones in a Cyrillic word) become the letter
//     they look like; a title that is Cyrillic as a whole is transliterated by the
//     Uzbek alphabet of 1995; runs of spaces become one. Titles that the portal cut off
//     stay cut off.
//   - Agency. The cell is looked up among the codes, names and aliases of
//     organisations.csv. A cell that lists several agencies run together belongs to the
//     first of them: the longest beginning of the cell that is a known name.
//   - Kind. The first rule of [kinds] that the title meets; see there.
//   - Nothing published stays empty: a service without a fee text is neither free nor
//     paid, one without a term is neither automated nor not.
package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// FactsOf is the month of the services' facts, given as its first day.
const FactsOf = "2026-08-01"

func main() {
	facts := flag.String("facts", "", "folder with uz_services/ and uz_reference/")
	out := flag.String("out", "internal/pack/uz/reference", "folder of organisations.csv, services.csv and districts.csv")
	flag.Parse()
	if err := run(*facts, *out); err != nil {
		slog.Error("uzfacts", "error", err)
		os.Exit(1)
	}
}

func run(facts, out string) error {
	organisations, err := readOrganisations(filepath.Join(out, "organisations.csv"))
	if err != nil {
		return err
	}
	for name, make := range map[string]func(io.Writer) error{
		"services.csv":  func(w io.Writer) error { return services(w, facts, organisations) },
		"districts.csv": func(w io.Writer) error { return districts(w, facts) },
	} {
		var b bytes.Buffer
		if err := make(&b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readOrganisations(file string) (*reference.Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var issues problem.Issues
	table := reference.ReadTable("organisations", file, f, reference.TableFormat{}, &issues)
	return table, issues.Err()
}

// Columns of services.tsv.
const (
	inID = iota
	inTitle
	inApplications
	inRating
	inMinutes
	inRaters
	inFee
	inTerm
	inAutomatic
	inUsers
	inAgency
	inColumns
)

func services(w io.Writer, facts string, organisations *reference.Table) error {
	text, err := os.ReadFile(filepath.Join(facts, "uz_services", "services.tsv"))
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	_ = out.Write(strings.Split("code,name_uz,agency,kind,active,electronic,mobile,automated,proactive,signature_required,paid,users,fee_text,term_text,form_minutes,applications_since_launch,rating,raters,facts_of", ","))
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if i == 0 {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != inColumns {
			return fmt.Errorf("services.tsv:%d: %d cells, not %d", i+1, len(c), inColumns)
		}
		title := inLatin(c[inTitle])
		agency, err := agencyOf(c[inAgency], organisations)
		if err != nil {
			return fmt.Errorf("services.tsv:%d: %w", i+1, err)
		}
		fee, term := spelling(c[inFee]), spelling(c[inTerm])
		automated, paid := "", ""
		if term != "" {
			automated = strconv.FormatBool(c[inAutomatic] == "1")
		}
		if fee != "" {
			paid = strconv.FormatBool(fee != "Bepul")
		}
		minutes := c[inMinutes]
		rating := c[inRating]
		if rating == "0" { // the portal's way to say that nobody has rated
			rating = ""
		}
		// Every service of the list can be asked for on the portal, so it is electronic.
		// Whether it is in the mobile application, is given without a request or needs a
		// signature is not told there.
		_ = out.Write([]string{c[inID], title, agency, Kind(title), "true", "true", "", automated, "", "", paid,
			c[inUsers], fee, term, minutes, c[inApplications], rating, c[inRaters], FactsOf})
	}
	out.Flush()
	return out.Error()
}

// agencyOf is the code of the first agency that the cell names; empty for an empty cell.
func agencyOf(cell string, organisations *reference.Table) (string, error) {
	if cell = strings.TrimSpace(cell); cell == "" {
		return "", nil
	}
	if code, ok := organisations.Resolve(cell); ok {
		return code, nil
	}
	cell = spelling(cell)
	for end := len(cell); end > 0; end = strings.LastIndexByte(cell[:end], ' ') {
		if code, ok := organisations.Resolve(cell[:end]); ok {
			return code, nil
		}
	}
	return "", fmt.Errorf("no organisation is called %q: add the spelling to the aliases of organisations.csv", cell)
}

func districts(w io.Writer, facts string) error {
	f, err := os.Open(filepath.Join(facts, "uz_reference", "districts.csv"))
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	_ = out.Write([]string{"code", "region", "name_uz", "name_uz_cyrl", "name_ru"})
	for _, r := range rows[1:] { // soato, region_soato, name_uz, name_uz_cyrl, name_ru
		_ = out.Write([]string{r[0], r[1], spelling(r[2]), spelling(r[3]), spelling(r[4])})
	}
	out.Flush()
	return out.Error()
}

// lookAlikes are pairs of letters that are drawn alike, Cyrillic first.
const lookAlikes = "аaеeоoрpсcуyхxіiАAВBЕEКKМMНHОOРPСCТTХX"

var toLatin, toCyrillic = func() (map[rune]rune, map[rune]rune) {
	latin, cyrillic := map[rune]rune{}, map[rune]rune{}
	pairs := []rune(lookAlikes)
	for i := 0; i < len(pairs); i += 2 {
		latin[pairs[i]], cyrillic[pairs[i+1]] = pairs[i+1], pairs[i]
	}
	return latin, cyrillic
}()

// alphabet is the Uzbek alphabet of 1995 for the letters of that of 1940.
var alphabet = strings.NewReplacer(
	"а", "a", "б", "b", "в", "v", "г", "g", "д", "d", "е", "e", "ё", "yo", "ж", "j", "з", "z", "и", "i", "й", "y",
	"к", "k", "л", "l", "м", "m", "н", "n", "о", "o", "п", "p", "р", "r", "с", "s", "т", "t", "у", "u", "ф", "f",
	"х", "x", "ц", "ts", "ч", "ch", "ш", "sh", "ъ", "ʻ", "ь", "", "э", "e", "ю", "yu", "я", "ya",
	"ў", "oʻ", "қ", "q", "ғ", "gʻ", "ҳ", "h",
	"А", "A", "Б", "B", "В", "V", "Г", "G", "Д", "D", "Е", "Ye", "Ж", "J", "З", "Z", "И", "I", "К", "K", "Л", "L",
	"М", "M", "Н", "N", "О", "O", "П", "P", "Р", "R", "С", "S", "Т", "T", "У", "U", "Ф", "F", "Х", "X", "Ч", "Ch",
	"Ш", "Sh", "Э", "E", "Ю", "Yu", "Я", "Ya", "Ў", "Oʻ", "Қ", "Q", "Ғ", "Gʻ", "Ҳ", "H")

// inLatin is [spelling] for a table column that holds Uzbek in Latin letters.
func inLatin(text string) string {
	if count(text, unicode.Latin) == 0 {
		text = alphabet.Replace(text)
	}
	return spelling(text)
}

// spelling is the stored form of a published text in the script that it has.
func spelling(text string) string {
	words := strings.Fields(text)
	latin := count(text, unicode.Latin) > count(text, unicode.Cyrillic)
	for i, word := range words {
		l, c := count(word, unicode.Latin), count(word, unicode.Cyrillic)
		switch {
		case l > 0 && c > 0 && l >= c, latin && l == 0 && c > 0:
			word = swap(word, toLatin)
		case l > 0 && c > l:
			word = swap(word, toCyrillic)
		}
		words[i] = word
	}
	return reference.Clean(strings.ReplaceAll(strings.Join(words, " "), "`", "ʻ"), "uz")
}

func count(text string, script *unicode.RangeTable) (n int) {
	for _, r := range text {
		if unicode.Is(script, r) {
			n++
		}
	}
	return n
}

func swap(word string, by map[rune]rune) string {
	return strings.Map(func(r rune) rune {
		if other, ok := by[r]; ok {
			return other
		}
		return r
	}, word)
}
