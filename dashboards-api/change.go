package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/problem"
)

// How long somebody may take to send a body, and to take an answer or the next piece of one.
const (
	bodyPatience   = 30 * time.Second
	answerPatience = 5 * time.Minute
)

// patience bounds how long an answer may take to be taken, and what is left of a body that nobody has
// read. The door of events and the stream of news, which take long rightly, see to it themselves.
func (s *server) patience(c *gin.Context) {
	control := http.NewResponseController(c.Writer)
	until := time.Now().Add(handlerTimeout + answerPatience)
	if path := c.FullPath(); path == "/v1/events" || path == "/v1/live" {
		until = time.Time{}
	}
	_ = control.SetWriteDeadline(until) // not every writer has deadlines
	c.Next()
	_ = control.SetReadDeadline(time.Now().Add(s.bodyPatience)) // likewise; the next request has its own
}

// bounded lets a handler read at most so many bytes of a body, within some time. Call the function
// that it returns when the body has been read.
func bounded(w http.ResponseWriter, r *http.Request, most int64, within time.Duration) (done func()) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // not every reader has deadlines
	r.Body = http.MaxBytesReader(w, r.Body, most)
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}

// changer answers a request that changes something. into reads its body, once. A nil body answers 204.
type changer func(ctx context.Context, q *query, into func(any) error) (status int, body any, err error)

// change is the adapter of routes whose requests carry a JSON object of at most so many bytes.
func (s *server) change(most int64, handle changer) gin.HandlerFunc {
	return func(c *gin.Context) {
		if _, err := readParams(c.Request, nil); err != nil {
			s.fail(c.Writer, c.Request, err)
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), handlerTimeout)
		defer cancel()
		status, body, err := handle(ctx, &query{path: c.Param, request: c.Request}, func(into any) error { return s.readJSON(c.Writer, c.Request, most, into) })
		c.Writer.Header().Set("Cache-Control", "no-store")
		switch {
		case err != nil:
			s.fail(c.Writer, c.Request, err)
		case body == nil:
			c.Status(http.StatusNoContent)
		default:
			s.tell(c.Writer, status, body)
		}
	}
}

// readJSON reads a body that is one JSON object of at most so many bytes, whose keys all have a
// place in into.
func (s *server) readJSON(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	defer bounded(w, r, most, s.bodyPatience)()
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return problem.New(problem.Unsupported, "this body is taken as it is, not as %s", coding).In("Content-Encoding").
			Also("uz", "Soʻrov mazmuni siqilmagan holda yuboriladi, %s sifatida emas.", coding).
			Also("ru", "Содержимое запроса принимается как есть, не как %s.", coding)
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		return problem.New(problem.BadInput, "the body has more than one JSON value").
			Also("uz", "Soʻrov mazmuni bitta JSON obyekti boʻlishi kerak, undan keyin yana nimadir bor.").
			Also("ru", "Содержимое запроса должно быть одним объектом JSON, а за ним есть что-то ещё.")
	}
	var large *http.MaxBytesError
	var wrong *json.UnmarshalTypeError
	unknown, isUnknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.As(err, &large):
		return problem.New(problem.TooLarge, "the body has more than %d KiB", most>>10).
			Also("uz", "Soʻrov mazmuni %d KB dan katta.", most>>10).
			Also("ru", "Содержимое запроса больше %d КБ.", most>>10)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.BadInput, "the body did not come within %s", s.bodyPatience).
			Also("uz", "Soʻrov mazmuni %s ichida kelmadi.", s.bodyPatience).
			Also("ru", "Содержимое запроса не пришло за %s.", s.bodyPatience)
	case isUnknown:
		name := strings.Trim(unknown, `"`)
		return problem.New(problem.BadInput, "there is no field %q here; allowed are %s", name, strings.Join(fieldsOf(reflect.TypeOf(into).Elem()), ", ")).In(name).Of(fieldsOf(reflect.TypeOf(into).Elem())...).
			Also("uz", "Bu yerda “%s” maydoni yoʻq.", name).
			Also("ru", "Поля «%s» здесь нет.", name)
	case errors.As(err, &wrong) && wrong.Field == "":
		return problem.New(problem.BadInput, "the body is a JSON %s, not an object", wrong.Value).
			Also("uz", "Soʻrov mazmuni JSON obyekti emas.").
			Also("ru", "Содержимое запроса — не объект JSON.")
	case wrong != nil:
		return problem.New(problem.BadInput, "%s cannot be a JSON %s", wrong.Field, wrong.Value).In(wrong.Field).
			Also("uz", "“%s” maydonidagi qiymatning turi notoʻgʻri.", wrong.Field).
			Also("ru", "У поля «%s» значение не того вида.", wrong.Field).
			From("", err)
	}
	return problem.New(problem.BadInput, "the body is no JSON object: %v", err).
		Also("uz", "Soʻrov mazmuni JSON obyekti emas yoki oxirigacha kelmagan.").
		Also("ru", "Содержимое запроса — не объект JSON, или оно пришло не целиком.").
		From("", err)
}

// fieldsOf are the keys of JSON that a struct has a place for.
func fieldsOf(of reflect.Type) (names []string) {
	if of.Kind() != reflect.Struct {
		return nil
	}
	for _, field := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
