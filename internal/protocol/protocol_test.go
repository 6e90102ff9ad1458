package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ombor/internal/protocol"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		text string
		want protocol.Statement
		data string // what follows DataAt
	}{
		{"", protocol.Statement{}, ""},
		{" -- nothing\n/* at /* all */ */ ;", protocol.Statement{}, ""},
		{"SELECT 1", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"select 1 format JSON", protocol.Statement{Verb: "SELECT", Streams: true, Format: "JSON"}, ""},
		{"SELECT 1 FORMAT JSON SETTINGS max_threads = 1;", protocol.Statement{Verb: "SELECT", Streams: true, Format: "JSON"}, ""},
		{"SELECT format FROM t", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"SELECT format('{}', a) AS x FROM t", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"SELECT 'FORMAT JSON', `FORMAT`, \"x\" FROM t -- FORMAT CSV", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"SELECT * FROM (SELECT 1 FORMAT CSV)", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"SELECT $x$ ; FORMAT CSV $x$", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"SELECT 'it''s; x' ; ", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{`SELECT 'a\'; b'; SELECT 2`, protocol.Statement{Verb: "SELECT", Streams: true, More: true}, ""},
		{"(SELECT 1) UNION ALL (SELECT 2)", protocol.Statement{Verb: "SELECT", Streams: true}, ""},
		{"WITH 1 AS x SELECT x", protocol.Statement{Verb: "WITH", Streams: true}, ""},
		{"SHOW TABLES FORMAT TSV", protocol.Statement{Verb: "SHOW", Format: "TSV"}, ""},
		{"SELECT 1 INTO OUTFILE 'x' FORMAT CSV", protocol.Statement{Verb: "SELECT", Streams: true, Format: "CSV", ClientFile: true}, ""},
		{"USE a", protocol.Statement{Verb: "USE", Session: true}, ""},
		{"SET a = 1", protocol.Statement{Verb: "SET", Session: true}, ""},
		{"CREATE TEMPORARY TABLE a (b UInt8)", protocol.Statement{Verb: "CREATE", Session: true}, ""},
		{"INSERT INTO t", protocol.Statement{Verb: "INSERT", NeedsFormat: true}, ""},
		{"INSERT INTO t (a, b)\n", protocol.Statement{Verb: "INSERT", NeedsFormat: true}, ""},
		{"INSERT INTO t SELECT * FROM u FORMAT CSV", protocol.Statement{Verb: "INSERT", Format: "CSV"}, ""},
		{"INSERT INTO t (SELECT 1)", protocol.Statement{Verb: "INSERT"}, ""},
		{"INSERT INTO t FORMAT CSV\n1,2\n", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 25, SourceAt: 14, FormatAt: 14}, "1,2\n"},
		{"INSERT INTO t FORMAT CSV  \r\n\n1", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 28, SourceAt: 14, FormatAt: 14}, "\n1"},
		{"INSERT INTO t FORMAT CSV ; \n1", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 28, SourceAt: 14, FormatAt: 14}, "1"},
		{"INSERT INTO t FORMAT RowBinary\n; SELECT \x00", protocol.Statement{Verb: "INSERT", Format: "RowBinary", Data: true, DataAt: 31, SourceAt: 14, FormatAt: 14}, "; SELECT \x00"},
		{"INSERT INTO t VALUES (1); ", protocol.Statement{Verb: "INSERT", Format: "Values", Data: true, DataAt: 21, SourceAt: 14, FormatAt: 14}, "(1); "},
		{"INSERT INTO t SETTINGS a = 1 FORMAT CSV\nx", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 40, SourceAt: 14, FormatAt: 29}, "x"},
		{"INSERT INTO t FORMAT CSV SETTINGS a = -1, b = 'x'\nx", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 50, SourceAt: 14, FormatAt: 14, Tail: " SETTINGS a = -1, b = 'x'"}, "x"},
		{"INSERT INTO FUNCTION null('a UInt8') FORMAT CSV\n1", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 48, SourceAt: 37, FormatAt: 37}, "1"},
		{"INSERT INTO t SELECT a FROM input('a UInt8') FORMAT CSV\n1", protocol.Statement{Verb: "INSERT", Format: "CSV", Data: true, DataAt: 56, SourceAt: 45, FormatAt: 45, InputAt: 28, InputEnd: 34}, "1"},
		{"INSERT INTO t FROM INFILE 'x' FORMAT CSV", protocol.Statement{Verb: "INSERT", Format: "CSV", ClientFile: true}, ""},
	} {
		got := protocol.Read([]byte(c.text))
		if got != c.want {
			t.Errorf("%q:\n got %+v\nwant %+v", c.text, got, c.want)
			continue
		}
		if got.Data && c.text[got.DataAt:] != c.data {
			t.Errorf("%q: data %q, want %q", c.text, c.text[got.DataAt:], c.data)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"SELECT 1 FORMAT CSV; x", "INSERT INTO t (a) SETTINGS a=1 FORMAT CSV SETTINGS b=2\n1", "$a$ $a$ /* /* -- '", "INSERT INTO t SELECT input(1) FORMAT", "`\\"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := protocol.Read(text)
		if s.Data && !(0 <= s.SourceAt && s.SourceAt <= s.FormatAt && s.FormatAt <= s.DataAt && s.DataAt <= len(text)) {
			t.Errorf("%q: offsets %+v", text, s)
		}
		if s.InputAt > 0 && !(s.InputAt < s.InputEnd && s.InputEnd <= len(text)) {
			t.Errorf("%q: offsets %+v", text, s)
		}
	})
}

func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a_1": "a_1", "1a": "`1a`", "": "``", "a b": "`a b`", "a`b\\": "`a\\`b\\\\`", "select": "`select`"} {
		if got := protocol.QuoteIdentifier(in); got != want {
			t.Errorf("identifier %q: %s, want %s", in, got, want)
		}
	}
	if got, want := protocol.QuoteString("it's\\\n\x00"), `'it\'s\\\n\0'`; got != want {
		t.Errorf("string: %s, want %s", got, want)
	}
	if got := fmt.Sprint(protocol.SplitTypes("UInt64, Map(String, Date),Enum8('a,b' = 1)")); got != "[UInt64 Map(String, Date) Enum8('a,b' = 1)]" {
		t.Errorf("types: %s", got)
	}
}

func TestExceptionText(t *testing.T) {
	for _, c := range []struct {
		text string
		want protocol.Exception
	}{
		{"Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))", protocol.Exception{Code: 60, Name: "UNKNOWN_TABLE", Message: "Unknown table 'x'."}},
		{"Code: 115. DB::Exception: Code: 115. DB::Exception: Unknown setting 'x'. (UNKNOWN_SETTING) (version 26.7.2.1). (UNKNOWN_SETTING)", protocol.Exception{Code: 115, Name: "UNKNOWN_SETTING", Message: "Unknown setting 'x'."}},
		{"Code: 241. DB::Exception: (total) memory limit exceeded (MEMORY_LIMIT_EXCEEDED)\n", protocol.Exception{Code: 241, Name: "MEMORY_LIMIT_EXCEEDED", Message: "(total) memory limit exceeded"}},
		{"Code: 6. DB::ParsingException: no", protocol.Exception{Code: 6, Message: "no"}},
		{"something else", protocol.Exception{Code: 1001, Name: "STD_EXCEPTION", Message: "something else"}},
		{"", protocol.Exception{Code: 1001, Name: "STD_EXCEPTION"}},
	} {
		got := protocol.ParseException(c.text)
		if *got != c.want {
			t.Errorf("%q:\n got %+v\nwant %+v", c.text, *got, c.want)
		}
		again := protocol.ParseException(got.Text("26.7.2.1"))
		if again.Code != got.Code || again.Name != got.Name || strings.TrimSuffix(again.Message, ".") != strings.TrimSuffix(got.Message, ".") {
			t.Errorf("%q comes back as %+v", c.text, *again)
		}
	}
	wrapped := fmt.Errorf("outer: %w", protocol.Exceptionf(protocol.CodeSyntaxError, "x"))
	if protocol.ExceptionOf(wrapped).Code != 62 || protocol.ExceptionOf(errors.New("y")).Code != 1001 {
		t.Error("ExceptionOf does not look through the chain")
	}
	for code, want := range map[int]int{60: 404, 62: 400, 202: 503, 241: 500, 159: 408, 516: 403, 9999: 500} {
		if got := (&protocol.Exception{Code: code}).Status(); got != want {
			t.Errorf("code %d has status %d, want %d", code, got, want)
		}
	}
}

func FuzzParseException(f *testing.F) {
	f.Add("Code: 60. DB::Exception: a (A_B) (version 1 (official build))")
	f.Fuzz(func(t *testing.T, text string) {
		if e := protocol.ParseException(text); e.Code <= 0 {
			t.Errorf("%q: code %d", text, e.Code)
		}
	})
}

func frames(t testing.TB, method, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := protocol.NewFrameWriter(&b, method, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFrames(t *testing.T) {
	text := strings.Repeat("some text that repeats ", 200_000)
	for _, method := range []string{"", "LZ4", "LZ4HC", "ZSTD", "NONE"} {
		packed := frames(t, method, text)
		got, err := io.ReadAll(protocol.NewFrameReader(bytes.NewReader(packed)))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", method, len(got), err)
		}
		for _, cut := range []int{1, 10, 24, 30, len(packed) - 1} {
			_, err := io.ReadAll(protocol.NewFrameReader(bytes.NewReader(packed[:cut])))
			var e *protocol.Exception
			if !errors.As(err, &e) || e.Code != protocol.CodeCannotDecompress {
				t.Errorf("%s cut to %d bytes: %v", method, cut, err)
			}
		}
		flipped := bytes.Clone(packed)
		flipped[20] ^= 1
		if _, err := io.ReadAll(protocol.NewFrameReader(bytes.NewReader(flipped))); err == nil {
			t.Errorf("%s: a flipped bit was not noticed", method)
		}
	}
	if got, err := io.ReadAll(protocol.NewFrameReader(strings.NewReader(""))); err != nil || len(got) != 0 {
		t.Errorf("nothing: %q, %v", got, err)
	}
	if _, err := protocol.NewFrameWriter(io.Discard, "SNAPPY", 0); err == nil {
		t.Error("an unknown method was accepted")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frames(f, "LZ4", "hello"))
	f.Add(frames(f, "ZSTD", "hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := io.Copy(io.Discard, io.LimitReader(protocol.NewFrameReader(bytes.NewReader(data)), 1<<20))
		var e *protocol.Exception
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error that is no exception: %v", err)
		}
	})
}

func TestContentEncodings(t *testing.T) {
	text := strings.Repeat("some text that repeats ", 10_000)
	for _, name := range []string{"gzip", "deflate", "br", "zstd", "lz4"} {
		var b bytes.Buffer
		w, err := protocol.ContentWriter(name, &b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for cut, whole := range map[int]bool{b.Len(): true, b.Len() - 5: false} {
			r, err := protocol.ContentReader(name, bytes.NewReader(b.Bytes()[:cut]))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if whole != (err == nil && string(got) == text) {
				t.Errorf("%s, %d of %d bytes: %d bytes, %v", name, cut, b.Len(), len(got), err)
			}
		}
	}
	for accept, want := range map[string]string{"": "", "gzip, deflate": "gzip", "gzip;q=0, deflate": "deflate", "br, gzip": "br", "*": "", "identity": ""} {
		if got := protocol.ChooseEncoding(accept); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", accept, got, want)
		}
	}
}

func TestParseRequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/?query=SELECT+1&database=d&param_a=x&param_b=y&max_threads=3&default_format=CSV&query_id=q&session_id=s&session_timeout=7&compress=1&network_compression_method=zstd&client_protocol_version=54460&wait_end_of_query=1&readonly=2", strings.NewReader("body"))
	r.SetBasicAuth("somebody", "secret")
	req, err := protocol.ParseRequest(r, protocol.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(req.Query, req.Database, req.Params, req.Settings, req.DefaultFormat, req.QueryID, req.SessionID, req.SessionTimeout, req.Compress, req.FrameMethod, req.Revision, req.WaitEnd, req.User, req.BodySize, req.ReadOnly),
		"SELECT 1d[{a x} {b y}] [{max_threads 3} {readonly 2}] CSVqs7s trueZSTD54460 truesomebody4 false"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != "body" {
		t.Errorf("body %q, %v", body, err)
	}
	if strings.Contains(fmt.Sprintf("%+v", req), "secret") {
		t.Error("the password is kept")
	}
	for target, code := range map[string]int{
		"/?a=%zz": 36, "/?client_protocol_version=x": 36, "/?session_timeout=-1": 374, "/?session_timeout=99999": 374,
		"/?compress=1&network_compression_method=x": 89, "/?query=" + strings.Repeat("x", 2<<20): 229,
		"/?" + strings.Repeat("a&", 3): 0,
	} {
		_, err := protocol.ParseRequest(httptest.NewRequest(http.MethodPost, target, nil), protocol.Limits{})
		var e *protocol.Exception
		if errors.As(err, &e) != (code != 0) || e != nil && e.Code != code {
			t.Errorf("%.60s: %v, want code %d", target, err, code)
		}
	}
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, "s%d=1&", i)
	}
	if _, err := protocol.ParseRequest(httptest.NewRequest(http.MethodPost, "/?"+many.String(), nil), protocol.Limits{}); err == nil {
		t.Error("2000 settings were accepted")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("query=SELECT+1&param_a=b", "multipart/form-data; boundary=x", "gzip", []byte("--x\r\nContent-Disposition: form-data; name=\"t\"; filename=\"f\"\r\n\r\n1\r\n--x--"))
	f.Add("decompress=1", "", "", []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, query, kind, encoding string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Content-Encoding", encoding)
		req, err := protocol.ParseRequest(r, protocol.Limits{External: 1 << 16})
		var e *protocol.Exception
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error that is no exception: %v", err)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(req.Body, 1<<20)) // any error will do, no panic
		}
	})
}

func TestAnswer(t *testing.T) {
	id := protocol.Identity{Name: "n", Version: "1.2", Zone: "UTC"}
	// Early: the status tells.
	w := httptest.NewRecorder()
	a := protocol.NewAnswer(w, nil, id)
	if _, err := io.WriteString(a, "some rows"); err != nil {
		t.Fatal(err)
	}
	a.Fail(protocol.Exceptionf(protocol.CodeSyntaxError, "no"))
	if w.Code != 400 || w.Body.String() != "Code: 62. DB::Exception: no. (SYNTAX_ERROR) (version 1.2 (official build))\n" || w.Header().Get("X-ClickHouse-Exception-Code") != "62" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	// Late: the end of the body does.
	w = httptest.NewRecorder()
	a = protocol.NewAnswer(w, &protocol.Request{Buffer: 4}, id)
	if _, err := io.WriteString(a, "some rows"); err != nil {
		t.Fatal(err)
	}
	a.Fail(protocol.Exceptionf(protocol.CodeSyntaxError, "no"))
	tag := w.Header().Get("X-ClickHouse-Exception-Tag")
	text := "Code: 62. DB::Exception: no. (SYNTAX_ERROR) (version 1.2 (official build))"
	if want := fmt.Sprintf("some rows\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", tag, text, len(text)+1, tag); w.Code != 200 || len(tag) != 16 || w.Body.String() != want {
		t.Errorf("%d %q, want %q", w.Code, w.Body, want)
	}
	// Nothing at all.
	w = httptest.NewRecorder()
	if err := protocol.NewAnswer(w, &protocol.Request{}, id).Close(); err != nil || w.Code != 200 || w.Header().Get("Content-Length") != "0" {
		t.Errorf("%d %v %v", w.Code, w.Header(), err)
	}
}

// A Native block at revision 0 with its types in binary: one row of every shape.
const block = "\x03\x01" +
	"\x01a\x12\x0cAsia/Almaty\x01\x02\x03\x04" +
	"\x01b\x1e\x23\x15\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01x\x00" +
	"\x01c\x2b\x20\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x07"

func TestReframe(t *testing.T) {
	src := strings.Replace(block, "\x0cAsia", "\x0bAsia", 1)
	got, err := protocol.Reframe(nil, []byte(src), 54460)
	if err != nil {
		t.Fatal(err)
	}
	want := "\x01\x00\x02\xff\xff\xff\xff\x00\x03\x01" +
		"\x01a\x17DateTime('Asia/Almaty')\x00\x01\x02\x03\x04" +
		"\x01b\x17Array(Nullable(String))\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01x\x00" +
		"\x01c\x07Dynamic\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05UInt8\x00\x00\x00\x00\x00\x00\x00\x00\x01\x07"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, err = protocol.Reframe(nil, []byte(src+src), 54460); err != nil || string(got) != want+want {
		t.Errorf("two blocks: %q, %v", got, err)
	}
	for cut := 1; cut < len(src); cut++ {
		if _, err := protocol.Reframe(nil, []byte(src[:cut]), 54460); err == nil {
			t.Errorf("a block cut to %d bytes was accepted", cut)
		}
	}
}

func FuzzReframe(f *testing.F) {
	f.Add([]byte(strings.Replace(block, "\x0cAsia", "\x0bAsia", 1)))
	f.Add([]byte("\x01\x01\x01a\x30\x00\x80\x08\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01a"))
	f.Fuzz(func(t *testing.T, src []byte) {
		_, _ = protocol.Reframe(nil, src, 54460) // any error will do, no panic
	})
}
