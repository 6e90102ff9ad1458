package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// scalarDecoder is a type that may be written as one scalar.
type scalarDecoder interface{ FromScalar(text string) error }

var (
	scalarDecoderType = reflect.TypeFor[scalarDecoder]()
	dayType           = reflect.TypeFor[reference.Day]()
	durationType      = reflect.TypeFor[time.Duration]()
)

// decoder turns YAML nodes into declarations and notes everything that does not fit.
type decoder struct {
	place
	literal bool // mappings: a text is what is written, also when YAML reads 01 or true there
	issues  *problem.Issues
}

func (d *decoder) add(line int, field, format string, args ...any) {
	d.issues.Add(d.file, line, field, format, args...)
}

// place is one document of a file, with the line of every field in it.
type place struct {
	file  string
	begin int
	lines map[string]int
}

// line is where a field stands, or else the nearest thing around it.
func (p place) line(field string) int {
	for field != "" {
		if line, ok := p.lines[field]; ok {
			return line
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return p.begin
}

// root decodes a whole document.
func (d *decoder) root(n *yaml.Node, into any) {
	d.begin, d.lines = n.Line, map[string]int{}
	d.decode(n, reflect.ValueOf(into).Elem(), "", "")
}

// documents are the root nodes of a file that can be read; sound when that is all
// there is.
func (d *decoder) documents(data []byte) (roots []*yaml.Node, sound bool) {
	if !utf8.Valid(data) {
		d.add(0, "", "is not UTF-8; save the file as UTF-8")
		return nil, false
	}
	in := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	sound = true
	for {
		var document yaml.Node
		err := in.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, message := syntax(err)
			d.add(line, "", "is not YAML: %s", message)
			return nil, false
		}
		if len(document.Content) != 1 || document.Content[0].Tag == "!!null" {
			continue
		}
		if !d.plain(document.Content[0], "") {
			sound = false
			continue
		}
		roots = append(roots, document.Content[0])
	}
	if len(roots) == 0 && sound {
		d.add(0, "", "is empty")
		sound = false
	}
	return roots, sound
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntax(err error) (line int, message string) {
	message = err.Error()
	if m := syntaxLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // empty: the parser told no line
		message = message[len(m[0]):]
	}
	return line, message
}

// plain refuses what makes a file mean other than it says: anchors and aliases (which
// can also make a small file huge), tags, repeated keys.
func (d *decoder) plain(n *yaml.Node, path string) bool {
	before := len(*d.issues)
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n.Line, path, "anchors and aliases (&, *) are not allowed; write the value out")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n.Line, path, "the tag %s is not allowed; write the plain value", n.Tag)
		return false
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				d.add(key.Line, path, "a key must be one word or text")
				continue
			}
			at := join(path, key.Value)
			if first, twice := seen[key.Value]; twice {
				d.add(key.Line, at, "the key stands twice, first on line %d", first)
			}
			seen[key.Value] = key.Line
			d.plain(value, at)
		}
	} else {
		for i, item := range n.Content {
			d.plain(item, index(path, i))
		}
	}
	return len(*d.issues) == before
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// decode fills v, the value of a Go type, from a node. The tag is that of the struct
// field which holds it; in lists and maps it applies to each element.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		v.Set(reflect.New(t.Elem()))
		d.decode(n, v.Elem(), path, tag)
		return
	}
	if n.Kind == yaml.ScalarNode && reflect.PointerTo(t).Implements(scalarDecoderType) {
		if n.Tag == "!!null" {
			d.add(n.Line, path, "has no value")
		} else if err := v.Addr().Interface().(scalarDecoder).FromScalar(n.Value); err != nil {
			d.add(n.Line, path, "%v", err)
		} else if t.Kind() == reflect.Slice {
			for i := range v.Len() {
				d.form(n, v.Index(i).String(), path, tag)
			}
		}
		return
	}
	switch {
	case t == dayType:
		if text, ok := d.text(n, path, "a date, as in 2024-06-01"); ok {
			day, err := reference.ParseDay(text)
			if err != nil {
				d.add(n.Line, path, "%q is not a date; write YYYY-MM-DD", text)
				return
			}
			v.SetInt(int64(day))
		}
		return
	case t == durationType:
		if text, ok := d.text(n, path, "a length of time, as in 15m, 2h or 1d"); ok {
			length, err := parseDuration(text)
			if err != nil {
				d.add(n.Line, path, "%v", err)
				return
			}
			v.SetInt(int64(length))
		}
		return
	}
	switch t.Kind() {
	case reflect.String:
		if text, ok := d.text(n, path, "text"); ok {
			v.SetString(text)
			d.form(n, text, path, tag)
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64, reflect.Int32:
		number, err := strconv.ParseInt(n.Value, 10, t.Bits())
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			d.wrong(n, path, "a whole number")
			return
		}
		v.SetInt(number)
	case reflect.Float64:
		number, err := strconv.ParseFloat(n.Value, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
			d.wrong(n, path, "a number")
			return
		}
		v.SetFloat(number)
	case reflect.Interface:
		v.Set(reflect.ValueOf(d.free(n)))
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path, tag)
	case reflect.Slice:
		if _, keyed := keyField(t.Elem()); keyed {
			d.keyed(n, v, path, tag)
		} else {
			d.list(n, v, path, tag)
		}
	default:
		panic(fmt.Sprintf("pack: a declaration has a field of type %s, which no YAML is read into", t))
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind == yaml.MappingNode && reflect.PointerTo(v.Type()).Implements(scalarDecoderType) { // its one element
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.decode(n, v.Index(0), path, tag)
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list, as in [a, b]")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.lines[index(path, i)] = item.Line
		d.decode(item, list.Index(i), index(path, i), tag)
	}
	v.Set(list)
}

// keyed reads a mapping whose entries have an order into a slice of structs.
func (d *decoder) keyed(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping, key: value")
		return
	}
	at, _ := keyField(v.Type().Elem())
	keyTag := v.Type().Elem().Field(at).Tag
	list := reflect.MakeSlice(v.Type(), len(n.Content)/2, len(n.Content)/2)
	for i := range list.Len() {
		key, value := n.Content[2*i], n.Content[2*i+1]
		element := list.Index(i)
		here := join(path, key.Value)
		d.lines[here] = key.Line
		if value.Kind == yaml.ScalarNode && reflect.PointerTo(element.Type()).Implements(scalarDecoderType) {
			d.decode(value, element, here, tag)
		} else {
			d.structure(value, element, here)
		}
		element.Field(at).SetString(key.Value)
		if line, ok := lineField(element.Type()); ok {
			element.Field(line).SetInt(int64(key.Line))
		}
		d.form(key, key.Value, here, keyTag)
	}
	v.Set(list)
}

// byLanguage says whether a type holds texts by language.
func byLanguage(t reflect.Type) bool {
	return t == reflect.TypeFor[reference.Names]() || t == reflect.TypeFor[wordsDeclaration]()
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping, key: value")
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i+1].Tag == "!!null" && n.Style&yaml.FlowStyle != 0 && !d.literal {
			d.add(n.Content[i].Line, path, "%s", commaInText(n.Content[i].Value))
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.lines[join(path, n.Content[i].Value)] = n.Content[i].Line
		d.decode(n.Content[i+1], value, join(path, n.Content[i].Value), tag)
		if byLanguage(v.Type()) {
			value.SetString(reference.Clean(value.String(), n.Content[i].Value))
		}
		m.SetMapIndex(reflect.ValueOf(n.Content[i].Value).Convert(v.Type().Key()), value)
	}
	v.Set(m)
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping, key: value")
		return
	}
	t := v.Type()
	if line, ok := lineField(t); ok {
		v.Field(line).SetInt(int64(n.Line))
	}
	for i := range t.NumField() { // days are open, not 1970, when they are not told
		if t.Field(i).Type == dayType {
			v.Field(i).SetInt(int64(reference.NoDay))
		} else if t.Field(i).Type == reflect.TypeFor[spanDeclaration]() {
			v.Field(i).Set(reflect.ValueOf(spanDeclaration{reference.NoDay, reference.NoDay}))
		}
	}
	fields := fieldsOf(t)
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		here := join(path, key.Value)
		d.lines[here] = key.Line
		at, ok := fields.index[key.Value]
		if !ok {
			if value.Tag == "!!null" && n.Style&yaml.FlowStyle != 0 {
				d.add(key.Line, path, "%s", commaInText(key.Value))
				continue
			}
			d.add(key.Line, here, "unknown key%s; allowed: %s", nearest(key.Value, fields.keys), strings.Join(fields.keys, ", "))
			continue
		}
		given[key.Value] = true
		if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			d.add(key.Line, here, "has no value")
			continue
		}
		d.decode(value, v.Field(at), here, t.Field(at).Tag)
	}
	for _, key := range fields.keys {
		field := t.Field(fields.index[key])
		if field.Tag.Get("need") != "yes" {
			continue
		}
		if !given[key] {
			d.add(n.Line, join(path, key), "is missing: %s", lowerFirst(field.Tag.Get("doc")))
		} else if empty(valueOf(n, key)) {
			d.add(valueOf(n, key).Line, join(path, key), "is empty: %s", lowerFirst(field.Tag.Get("doc")))
		}
	}
}

// commaInText explains {en: Of them, some}, where the comma ends the text.
func commaInText(key string) string {
	return fmt.Sprintf("%q stands alone: a text with a comma inside { } is written in quotes", key)
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; ; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
}

func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Tag == "!!str" || n.Kind != yaml.ScalarNode && len(n.Content) == 0
}

// text is a scalar that YAML reads as text or as a date.
func (d *decoder) text(n *yaml.Node, path, expected string) (string, bool) {
	if n.Kind == yaml.ScalarNode && d.literal {
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, true
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!timestamp" {
		if n.Kind == yaml.ScalarNode && expected == "text" {
			d.add(n.Line, path, "%s is %s where text is expected; write it in quotes", n.Value, kindOf(n))
			return "", false
		}
		d.wrong(n, path, expected)
		return "", false
	}
	return n.Value, true
}

func (d *decoder) wrong(n *yaml.Node, path, expected string) {
	found := kindOf(n)
	if n.Kind == yaml.ScalarNode {
		found = strconv.Quote(n.Value)
	}
	d.add(n.Line, path, "expected %s, found %s", expected, found)
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "nothing"
	}
	return "text"
}

// free reads whatever stands there: text, bool, int64, float64, list, mapping, nil.
func (d *decoder) free(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = d.free(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.free(item)
		}
		return list
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if number, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return number
		}
	case "!!float":
		if number, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return number
		}
	}
	return n.Value
}

// form holds a text against the tags one and like.
func (d *decoder) form(n *yaml.Node, text, path string, tag reflect.StructTag) {
	if text == "" && tag.Get("need") == "yes" {
		return // told as empty
	}
	if one, ok := tag.Lookup("one"); ok {
		allowed := strings.Fields(one)
		if !slices.Contains(allowed, text) {
			d.add(n.Line, path, "%q is not allowed%s; allowed: %s", text, nearest(text, allowed), strings.Join(allowed, ", "))
		}
	}
	if like, ok := tag.Lookup("like"); ok {
		f, known := forms[like]
		if !known {
			panic("pack: no form of text is called " + like)
		}
		if !f.holds(text) {
			d.add(n.Line, path, "%q is not %s", text, f.says)
		}
	}
}

type form struct {
	pattern *regexp.Regexp
	check   func(string) bool // nil: the pattern says it all
	says    string
}

func (f form) holds(text string) bool {
	return f.pattern.MatchString(text) && (f.check == nil || f.check(text))
}

// forms are the kinds of text with a shape of their own.
var forms = map[string]form{
	"id":       {regexp.MustCompile(`^[a-z][a-z0-9_-]*$`), nil, "a short name: small letters, digits, - and _, beginning with a letter"},
	"field":    {regexp.MustCompile(`^[a-z][a-z0-9_]*$`), nil, "a field's name: small letters, digits and _, beginning with a letter"},
	"prefix":   {regexp.MustCompile(`^([a-z][a-z0-9-]*\.)+$`), nil, "a prefix of event types: words that each end with a point, as in uz.gov."},
	"type":     {regexp.MustCompile(`^([a-z][a-z0-9_-]*\.)+v[1-9][0-9]*$`), nil, "an event type: words joined by points with the major version at the end, as in uz.gov.request.decided.v1"},
	"unit":     {regexp.MustCompile(`^([a-z][a-z0-9_-]*|[A-Z]{3})$`), nil, "a unit: percent, count, ratio, hours, minutes, days, bytes, a currency code, or a noun in small letters"},
	"contract": {regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`), nil, "a contract's name, as in request.decided or request.decided.v1"},
	"csv":      {regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.csv$`), nil, "a CSV file in reference/, as in services.csv"},
	"currency": {regexp.MustCompile(`^[A-Z]{3}$`), nil, "an ISO 4217 code, as in UZS"},
	"language": {regexp.MustCompile(`^[a-zA-Z]{2,3}(-[a-zA-Z0-9]+)*$`), func(s string) bool {
		tag, err := language.Parse(s)
		return err == nil && tag.String() == s
	}, "a BCP 47 language tag, as in uz or uz-Cyrl"},
	"zone": {regexp.MustCompile(`^[A-Za-z0-9_+/-]+$`), func(s string) bool {
		_, err := time.LoadLocation(s)
		return err == nil && s != "Local"
	}, "an IANA time zone, as in Asia/Tashkent"},
}

// fieldsOf lists the YAML keys of a struct in their order.
func fieldsOf(t reflect.Type) (fields struct {
	keys  []string
	index map[string]int
}) {
	fields.index = map[string]int{}
	for i := range t.NumField() {
		key, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if key == "" || key == "-" || option == "key" || option == "line" {
			continue
		}
		fields.keys = append(fields.keys, key)
		fields.index[key] = i
	}
	return fields
}

func keyField(t reflect.Type) (int, bool) { return optionField(t, ",key") }

func lineField(t reflect.Type) (int, bool) { return optionField(t, ",line") }

func optionField(t reflect.Type, option string) (int, bool) {
	if t.Kind() != reflect.Struct {
		return 0, false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == option {
			return i, true
		}
	}
	return 0, false
}

// nearest is " (did you mean x?)" when one of the words is a slip away.
func nearest(word string, words []string) string {
	best, distance := "", len(word)/3+2
	for _, candidate := range words {
		if d := edits(word, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt32
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// listOf is a list that may be written as its one element.
type listOf []string

// FromScalar makes a list of one.
func (l *listOf) FromScalar(text string) error { *l = listOf{text}; return nil }

// months is a time of keeping in months; 0 is for ever.
type months int

// FromScalar reads 18m, 5y or forever.
func (m *months) FromScalar(text string) error {
	if text == "forever" {
		*m = 0
		return nil
	}
	if n := len(text) - 1; n > 0 {
		count, err := strconv.Atoi(text[:n])
		if err == nil && count > 0 && count <= 1200 {
			switch text[n] {
			case 'y':
				*m = months(12 * count)
				return nil
			case 'm':
				*m = months(count)
				return nil
			}
		}
	}
	return fmt.Errorf("%q is not a time of keeping; write 18m, 5y or forever", text)
}

// parseDuration reads Go's durations and whole days: 90d.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 3660 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if length, err := time.ParseDuration(text); err == nil && length > 0 {
		return length, nil
	}
	return 0, fmt.Errorf("%q is not a length of time; write 15m, 2h or 1d", text)
}
