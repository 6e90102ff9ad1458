// Package problem is how Ombor says that something went wrong.
//
// An [Error] has one [Kind], taken once where the fault is understood, a message
// for the person who has to act, and a cause for the operator's log. Its kind alone
// decides the HTTP status ([Kind.Status]) and the exit code of a command
// ([Kind.ExitCode]); the body of an HTTP answer is an RFC 9457 document
// ([Error.Document]).
//
// [Issues] collects everything wrong with a set of files, each with its file,
// line and field, so that a checker can report all of it at once.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// Kind says what class of fault an error is. The zero Kind is Internal.
type Kind uint8

const (
	Internal        Kind = iota // a fault of ours: the cause is logged, the person gets a plain sentence
	BadInput                    // what was sent breaks a rule that the message names
	Unauthenticated             // nobody is signed in, or the key is unknown
	Denied                      // the principal may not do this
	NotFound                    // no such thing
	Conflict                    // the same name with other content
	TooLarge                    // a documented limit was passed
	Unsupported                 // a media type, format or method that is not served
	Busy                        // come again after RetryAfter: too many requests
	Unavailable                 // come again after RetryAfter: a part is away
)

var kinds = [...]struct {
	status int
	exit   int
	title  string
}{
	Internal:        {http.StatusInternalServerError, 1, "Internal error"},
	BadInput:        {http.StatusBadRequest, 2, "Bad input"},
	Unauthenticated: {http.StatusUnauthorized, 1, "Not signed in"},
	Denied:          {http.StatusForbidden, 1, "Not allowed"},
	NotFound:        {http.StatusNotFound, 1, "Not found"},
	Conflict:        {http.StatusConflict, 1, "Conflict"},
	TooLarge:        {http.StatusRequestEntityTooLarge, 1, "Too large"},
	Unsupported:     {http.StatusUnsupportedMediaType, 2, "Not supported"},
	Busy:            {http.StatusTooManyRequests, 1, "Busy"},
	Unavailable:     {http.StatusServiceUnavailable, 1, "Unavailable"},
}

// Status is the HTTP status that answers an error of this kind.
func (k Kind) Status() int { return kinds[k].status }

// ExitCode is the exit code of a command that ends with an error of this kind:
// 1 failed, 2 usage.
func (k Kind) ExitCode() int { return kinds[k].exit }

func (k Kind) String() string { return kinds[k].title }

// Error is a fault with its kind. Message is for the person who has to act and
// never holds a secret or a personal identifier; Cause is for the operator.
type Error struct {
	Kind       Kind
	Op         string        // the operation, for the operator: "journal: append"
	Message    string        // what is wrong and what to do next
	Field      string        // the field, parameter or flag at fault; empty when none is
	RetryAfter time.Duration // with Busy and Unavailable; 0 means one second
	Cause      error

	Words   map[string]string // Message in other languages than English, by BCP 47 tag; nil: in none
	Allowed []string          // what Field may be instead, as it would be sent; nil: no list of them is told
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind with a message for the person who has to act.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives a cause a kind and a message. A nil cause gives a nil error.
func Wrap(cause error, kind Kind, op, format string, args ...any) error {
	if cause == nil {
		return nil
	}
	return &Error{Kind: kind, Op: op, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// In names the field, parameter or flag at fault and returns e.
func (e *Error) In(field string) *Error { e.Field = field; return e }

// Also says the message in another language, a BCP 47 tag, and returns e.
func (e *Error) Also(language, format string, args ...any) *Error {
	if e.Words == nil {
		e.Words = map[string]string{}
	}
	e.Words[language] = fmt.Sprintf(format, args...)
	return e
}

// From names the operation and its cause, for the operator, and returns e.
func (e *Error) From(op string, cause error) *Error { e.Op, e.Cause = op, cause; return e }

// Of lists what the field may be instead and returns e. Programs and pages read the list;
// the message may shorten it.
func (e *Error) Of(allowed ...string) *Error { e.Allowed = allowed; return e }

// KindOf is the kind of the first [Error] in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Document is an RFC 9457 problem document.
type Document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`

	Words   map[string]string `json:"words,omitempty"`   // Detail in other languages, by BCP 47 tag
	Allowed []string          `json:"allowed,omitempty"` // what Field may be instead
}

// In is the detail in a language, English where it is not told in that one.
func (d Document) In(language string) string {
	if words := d.Words[language]; words != "" {
		return words
	}
	return d.Detail
}

// DocumentOf is what a person may be told of err: an internal fault is described
// in one plain sentence, its cause stays with the operator. What is away or busy is so
// for the same reader in every room, and told in other languages in one sentence of its kind
// where the fault has no words of its own.
func DocumentOf(err error) Document {
	var e *Error
	if !errors.As(err, &e) || e.Kind == Internal {
		return Document{Type: "about:blank", Title: Internal.String(), Status: Internal.Status(),
			Detail: "Ombor could not finish this request; the operator's log says why.", Words: inOther[Internal]}
	}
	doc := Document{Type: "about:blank", Title: e.Kind.String(), Status: e.Kind.Status(), Detail: e.Message, Field: e.Field, Words: e.Words, Allowed: e.Allowed}
	if doc.Words == nil {
		doc.Words = inOther[e.Kind]
	}
	return doc
}

// inOther are what is told of a kind in other languages than English.
var inOther = map[Kind]map[string]string{
	Internal: {
		"uz": "Ombor bu soʻrovni oxiriga yetkaza olmadi; sababi operator jurnalida.",
		"ru": "Ombor не смог выполнить этот запрос; причина — в журнале оператора."},
	Busy: {
		"uz": "Ombor hozir band: birozdan soʻng qayta urining.",
		"ru": "Ombor сейчас занят: попробуйте немного позже."},
	Unavailable: {
		"uz": "Omborning bir qismi hozir javob bermayapti: birozdan soʻng qayta urining.",
		"ru": "Часть Ombor сейчас не отвечает: попробуйте немного позже."},
}

// Wished is the language of several that a reader would like best (Accept-Language, RFC 9110,
// 12.5.4); "" when none of them is wished for.
func Wished(acceptLanguage string, of ...string) string {
	tags, _, _ := language.ParseAcceptLanguage(acceptLanguage) // what cannot be read wishes for nothing
	for _, tag := range tags {                                 // the best first
		if base, _ := tag.Base(); slices.Contains(of, base.String()) {
			return base.String()
		}
	}
	return ""
}

// Write answers an HTTP request with err: its status, Retry-After where the kind
// asks for it, and the problem document as application/problem+json.
func Write(w http.ResponseWriter, err error) {
	doc := DocumentOf(err)
	var e *Error
	if errors.As(err, &e) && (e.Kind == Busy || e.Kind == Unavailable) {
		wait := e.RetryAfter
		if wait < time.Second {
			wait = time.Second
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Round(time.Second)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(doc.Status)
	_ = json.NewEncoder(w).Encode(doc) // the client has gone: nobody is left to tell
}

// Issue is one thing wrong with one place in a file.
type Issue struct {
	File    string // path as the person gave it
	Line    int    // 1-based; 0 when the whole file is meant
	Field   string // dotted path inside the file: "fields.region.to"; empty when none is meant
	Message string // what is wrong and what is allowed
}

func (i Issue) String() string {
	var b strings.Builder
	b.WriteString(i.File)
	if i.Line > 0 {
		fmt.Fprintf(&b, ":%d", i.Line)
	}
	if i.Field != "" {
		b.WriteString(": ")
		b.WriteString(i.Field)
	}
	b.WriteString(": ")
	b.WriteString(i.Message)
	return b.String()
}

// Issues is everything a checker found. The zero value is an empty list.
type Issues []Issue

// Add appends one issue.
func (l *Issues) Add(file string, line int, field, format string, args ...any) {
	*l = append(*l, Issue{File: file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

// Err is nil when nothing was found, else a BadInput error that lists every
// issue, ordered by file and line. [IssuesOf] gives the list back.
func (l Issues) Err() error {
	if len(l) == 0 {
		return nil
	}
	sorted := append(Issues(nil), l...)
	sort.SliceStable(sorted, func(a, b int) bool {
		if sorted[a].File != sorted[b].File {
			return sorted[a].File < sorted[b].File
		}
		return sorted[a].Line < sorted[b].Line
	})
	lines := make([]string, len(sorted))
	for i, issue := range sorted {
		lines[i] = issue.String()
	}
	noun := "problems"
	if len(lines) == 1 {
		noun = "problem"
	}
	return &listed{New(BadInput, "%d %s:\n%s", len(lines), noun, strings.Join(lines, "\n")), sorted}
}

// listed is an Error that remembers its list.
type listed struct {
	err    *Error
	issues Issues
}

func (l *listed) Error() string { return l.err.Error() }
func (l *listed) Unwrap() error { return l.err }

// IssuesOf is the list behind an error that [Issues.Err] made; nil for any other.
func IssuesOf(err error) Issues {
	var l *listed
	if errors.As(err, &l) {
		return l.issues
	}
	return nil
}
