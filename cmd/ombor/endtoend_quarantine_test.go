//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const buyer = "31507856543210" // a PINFL of nobody

// stall is the shop with a table of goods that it may not know yet, a rule that keeps
// aside, and a person.
func stall(goods ...string) map[string]string {
	pack := maps.Clone(shop)
	delete(pack, "mappings/till.yaml")
	delete(pack, "mappings/web.yaml")
	pack["pack.yaml"] += "  goods: {file: goods.csv}\n"
	pack["reference/goods.csv"] = "code,name_en\n"
	for _, good := range goods {
		pack["reference/goods.csv"] += good + "," + strings.ToUpper(good) + "\n"
	}
	pack["contracts/sale.yaml"] = `type: shop.sale.v1
title: {en: Sale}
about: One sale.
source: till
fields:
  good: {type: ref, to: goods, required: true, class: open}
  amount: {type: integer, required: true, class: open}
  buyer: {type: person, id: pinfl, class: personal}
rules:
  - {id: not-so-many, check: amount <= 100, severity: quarantine}
`
	return pack
}

func sale(id, good string, amount int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"till","type":"shop.sale.v1","time":"2024-05-01T10:00:00+05:00","data":{"good":%q,"amount":%d,"buyer":%q}}`, id, good, amount, buyer)
}

type sold struct {
	Accepted, Held int
	Rejected       []map[string]any
	Quarantined    []struct {
		Index                          int
		ID, Field, Code, Reason, Entry string
	}
	Receipt string
}

func (s *server) sell(events ...string) sold {
	s.t.Helper()
	response, err := http.Post(s.url+"/v1/events", "application/x-ndjson", strings.NewReader(strings.Join(events, "\n")))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log.String())
	}
	defer response.Body.Close()
	var a sold
	text, _ := io.ReadAll(response.Body)
	if err := json.Unmarshal(text, &a); err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", response.Status, text)
	}
	return a
}

// crash kills the server as nothing can prepare for.
func (s *server) crash() {
	s.t.Helper()
	if err := s.command.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.exited
}

// loadedAll waits until everything accepted is loaded.
func (s *server) loadedAll() {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var status struct{ Journal, Loaded uint64 }
		if err := s.getJSON("/v1/status", &status); err != nil {
			s.t.Fatalf("%v\n%s", err, s.log.String())
		}
		if status.Loaded == status.Journal {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d of %d are loaded\n%s", status.Loaded, status.Journal, s.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type aside struct {
	ID, State, Code, Field, Source, Event, Key, By, Note, Place, Into string
	Content                                                           json.RawMessage
	Persons                                                           []string
	Faults                                                            []struct{ Code, Field, Reason string }
}

// aside lists the quarantine through the command line, over pages of two.
func (s *server) aside(flags ...string) (all []aside) {
	s.t.Helper()
	cursor := ""
	for {
		arguments := append([]string{"quarantine", "list", "--data", s.data, "--format", "json", "--limit", "2", "--cursor", cursor}, flags...)
		r := ombor(s.t, arguments...)
		var page struct {
			Entries []aside
			Next    *string
		}
		if err := json.Unmarshal([]byte(r.stdout), &page); err != nil || r.code != 0 {
			s.t.Fatalf("%v: exit %d: %s%s", arguments, r.code, r.stdout, r.stderr)
		}
		all = append(all, page.Entries...)
		if page.Next == nil {
			return all
		}
		cursor = *page.Next
	}
}

func (s *server) quarantine(code int, arguments ...string) result {
	s.t.Helper()
	r := ombor(s.t, append(append([]string{"quarantine"}, arguments...), "--data", s.data)...)
	if r.code != code {
		s.t.Fatalf("quarantine %v: exit %d, want %d: %s%s\n%s", arguments, r.code, code, r.stdout, r.stderr, s.log.String())
	}
	return r
}

// TestLoadSaysWhatIsHeld tries a file, loads it, and finds each row that is refused or held with its field,
// its reason and what to do next; the dry run has stored nothing of it.
func TestLoadSaysWhatIsHeld(t *testing.T) {
	s := serve(t, t.TempDir(), "--pack", files(t, stall("bread")))
	file := filepath.Join(t.TempDir(), "sales.ndjson")
	text := strings.Join([]string{sale("a", "bread", 1), "", sale("b", "honey", 2), sale("c", "bread", 500), `{"id":"d"}`, sale("e", "bread", 3)}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	faults := filepath.Join(t.TempDir(), "faults.ndjson")
	dry := ombor(t, "load", "--data", s.data, "--dry-run", "--refusals", faults, file)
	if dry.code != 3 || dry.stdout != "dry run: accepted 2, rejected 1, held 2; nothing was stored\n" {
		t.Errorf("exit %d: %s%s", dry.code, dry.stdout, dry.stderr)
	}
	for _, want := range []string{"sales.ndjson:3: good: ", "(unknown_reference), would be held", "sales.ndjson:4: ", "not-so-many", "(rule_broken), would be held", "sales.ndjson:5: ", "some of it would be refused or kept aside"} {
		if !strings.Contains(dry.stderr, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, dry.stderr)
		}
	}
	if told := strings.Count(contentsOf(t, faults), "\n"); told != 3 || strings.Contains(dry.stderr, "ombor quarantine") {
		t.Errorf("%d faults are kept, want 3\n%s", told, dry.stderr)
	}
	response, err := http.Post(s.url+"/v1/events?type=shop.sale.v1&source=till", "application/vnd.apache.arrow.stream", strings.NewReader("no columns"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if told, _ := io.ReadAll(response.Body); strings.Contains(string(told), "parameter") { // what docs/contracts.md promises to columns
		t.Errorf("type and source of columns: %s", told)
	}
	if held := s.aside(); len(held) != 0 {
		t.Fatalf("a dry run kept aside %+v", held)
	}
	r := ombor(t, "load", "--data", s.data, "--language", "ru", file)
	held := s.aside()
	if r.code != 3 || len(held) != 2 || r.stdout != "принято 2, повторов 0, отвергнуто 1, в противоречии 0, отложено 2, отозвано 0\n" {
		t.Fatalf("exit %d, held %+v: %s%s", r.code, held, r.stdout, r.stderr)
	}
	for _, want := range []string{"sales.ndjson:3: good: В таблице этого нет: ни как кода, ни как названия, ни в другом написании. is in no row of table goods", "(unknown_reference), отложено: " + held[1].ID, "отложено: " + held[0].ID,
		"ombor quarantine list --data " + s.data, "--set ПОЛЕ=ЗНАЧЕНИЕ", "принято не всё: отвергнуто 1, в противоречии 0, отложено из-за кода или правила 2"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the load does not say %q:\n%s", want, r.stderr)
		}
	}
	if q := ombor(t, "quality", "--data", s.data, "--language", "ru"); q.code != 0 || !strings.Contains(q.stdout, "в карантине") {
		t.Errorf("exit %d: %s%s", q.code, q.stdout, q.stderr)
	}
}

// TestQuarantine keeps events aside for every reason, puts them right through the command
// line, and kills the server in between: figures change as they should, and once.
func TestQuarantine(t *testing.T) {
	const day = "2024-05-01"
	data, known := t.TempDir(), files(t, stall("bread", "tea"))
	s := serve(t, data, "--pack", known)
	figures := func(when, want string) {
		t.Helper()
		s.loadedAll()
		if got := goods(s, day); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	cake, many, honey := sale("b", "cake", 2), sale("c", "bread", 500), sale("d", "honey", 3)
	a := s.sell(sale("a", "bread", 5), cake, many, honey)
	if a.Accepted != 1 || a.Held != 3 || len(a.Quarantined) != 3 || a.Quarantined[0].Code != "unknown_reference" || a.Quarantined[1].Code != "rule_broken" || a.Quarantined[1].Index != 2 {
		t.Fatalf("%+v", a)
	}
	s.loadedAll()
	conflict := s.sell(sale("a", "bread", 7))
	s.loadedAll()
	var receipt struct {
		Accepted, Conflict int
		Loaded             bool
		Quarantined        []string
	}
	if err := s.getJSON("/v1/receipts/"+conflict.Receipt, &receipt); err != nil || !receipt.Loaded || receipt.Conflict != 1 || len(receipt.Quarantined) != 1 {
		t.Fatalf("%v %+v", err, receipt)
	}
	figures("held", "bread 5 of 1")

	// Listed, over pages, the newest first; sent again, nothing is held twice.
	s.sell(honey, many, cake, many, sale("a", "bread", 7))
	s.loadedAll()
	list := s.aside()
	var codes []string
	for _, e := range list {
		codes = append(codes, e.Code)
	}
	if got := fmt.Sprint(codes); got != "[conflict unknown_reference rule_broken unknown_reference]" || list[0].ID != receipt.Quarantined[0] || list[0].Place == "" {
		t.Fatalf("%s: %+v", got, list)
	}
	ids := map[string]string{"conflict": list[0].ID, "honey": list[1].ID, "many": list[2].ID, "cake": list[3].ID}
	if ids["cake"] != a.Quarantined[0].Entry || ids["many"] != a.Quarantined[1].Entry {
		t.Errorf("%+v, the answer said %+v", ids, a.Quarantined)
	}
	mustContain(t, "the list", s.quarantine(0, "list", "--code", "rule_broken").stdout, ids["many"], "not-so-many")

	// Shown: with pseudonyms, and all that is wrong.
	var e aside
	if err := json.Unmarshal([]byte(s.quarantine(0, "show", ids["many"], "--format", "json").stdout), &e); err != nil || len(e.Faults) != 1 || e.Faults[0].Code != "rule_broken" || e.Faults[0].Field != "amount" || fmt.Sprint(e.Persons) != "[buyer]" {
		t.Errorf("%v %+v", err, e)
	}
	mustContain(t, "the entry", s.quarantine(0, "show", ids["many"]).stdout, "not-so-many", `"amount": 500`, "ombor quarantine fix")

	// A fix that does not mend is told every fault and changes nothing; a person cannot be changed.
	mustContain(t, "a fix that mends nothing", s.quarantine(3, "fix", ids["many"], "--set", "amount=400", "--set", "good=coke").stdout, "not-so-many", "unknown_reference")
	mustContain(t, "a fix of a person", s.quarantine(2, "fix", ids["many"], "--set", "buyer="+buyer).stderr, "pseudonym")
	mustContain(t, "a fix of no field", s.quarantine(2, "fix", ids["many"], "--set", "colour=red").stderr, "good, amount")
	mustContain(t, "a replay of what is not fixed", s.quarantine(3, "replay", "--code", "rule_broken").stdout, ids["many"], "not-so-many")
	s.quarantine(0, "fix", ids["many"], "--set", "amount=50", "--note", "one nought too many")
	s.quarantine(0, "fix", ids["cake"], "--set", "good=TEA") // a name does as well as a code
	figures("fixed", "bread 5 of 1")

	// Replayed, killed right after the answer, replayed again, sent again: once.
	mustContain(t, "a replay", s.quarantine(0, "replay", ids["many"], ids["cake"], "--by", "ali", "--note", "asked the till").stdout, "2 replayed")
	s.crash()
	s = serve(t, data, "--pack", known)
	mustContain(t, "a second replay", s.quarantine(0, "replay", ids["many"], ids["cake"]).stdout, "0 replayed", "2 settled before")
	s.sell(many, cake)
	figures("replayed", "bread 55 of 2, tea 2 of 1")
	for _, x := range s.aside("--state", "replayed") {
		if x.By != "ali" || x.Note != "asked the till" || x.Into == "" {
			t.Errorf("%+v", x)
		}
	}
	mustContain(t, "a fix of what was replayed", s.quarantine(1, "fix", ids["many"], "--set", "amount=1").stderr, "was replayed")

	// A conflict is replayed as a correction only, and changes what the first one had said.
	mustContain(t, "a conflict", s.quarantine(3, "replay", ids["conflict"]).stdout, "as a correction")
	s.quarantine(0, "replay", ids["conflict"], "--as-correction")
	s.crash()
	s = serve(t, data, "--pack", known)
	s.quarantine(0, "replay", ids["conflict"], "--as-correction")
	figures("corrected", "bread 57 of 2, tea 2 of 1")
	s.sell(sale("a", "bread", 5), sale("a", "bread", 7)) // a duplicate, and the conflict once more
	figures("sent again", "bread 57 of 2, tea 2 of 1")
	if open := s.aside(); len(open) != 1 || open[0].ID != ids["honey"] {
		t.Errorf("%+v", open)
	}

	// Dismissed, with a note, once.
	s.sell(sale("e", "bread", 1000))
	mustContain(t, "a dismissal without a note", s.quarantine(2, "dismiss", "--code", "rule_broken").stderr, "--note")
	mustContain(t, "a dismissal", s.quarantine(0, "dismiss", "--code", "rule_broken", "--note", "a test").stdout, "1 dismissed")
	s.sell(sale("e", "bread", 1000))
	figures("dismissed", "bread 57 of 2, tea 2 of 1")

	// What waited is old: it does not replace what came since, but for who asks for it.
	correcting := func(event string) string { return strings.Replace(event, `"data"`, `"onchange":"correct","data"`, 1) }
	stale := s.sell(correcting(sale("f", "bread", 300))).Quarantined[0].Entry
	s.sell(correcting(sale("f", "tea", 1)))
	figures("sent since", "bread 57 of 2, tea 3 of 2")
	s.quarantine(0, "fix", stale, "--set", "amount=30")
	s.quarantine(0, "replay", stale)
	figures("a stale replay", "bread 57 of 2, tea 3 of 2")
	found := s.aside("--code", "conflict")
	if len(found) != 1 {
		t.Fatalf("%+v", found)
	}

	// A page goes on behind an entry that has left the list meanwhile; a cursor that no server gave is refused.
	var page, rest struct {
		Entries []aside
		Next    *string
	}
	if err := s.getJSON("/v1/quarantine?state=open&limit=1", &page); err != nil || len(page.Entries) != 1 || page.Entries[0].ID != found[0].ID || page.Next == nil {
		t.Fatalf("%v %+v", err, page)
	}
	s.quarantine(0, "replay", found[0].ID, "--as-correction")
	if err := s.getJSON("/v1/quarantine?state=open&cursor="+*page.Next, &rest); err != nil || len(rest.Entries) != 1 || rest.Next != nil {
		t.Errorf("%v %+v", err, rest)
	}
	for _, other := range []string{"x", "zzzzz", *page.Next + "0", "1" + *page.Next} {
		if refused := s.quarantine(2, "list", "--cursor", other); !strings.Contains(refused.stderr, "was not given by this server") {
			t.Errorf("the cursor %q: %s", other, refused.stderr)
		}
	}
	figures("a stale replay that is wanted", "bread 87 of 3, tea 2 of 1")

	// What is said of all this.
	var status struct {
		Held       int
		Quarantine []map[string]any
	}
	if err := s.getJSON("/v1/status", &status); err != nil || status.Held != 1 || fmt.Sprint(status.Quarantine) !=
		"[map[code:conflict dismissed:0 open:0 replayed:2] map[code:rule_broken dismissed:1 open:0 replayed:2] map[code:unknown_reference dismissed:0 open:1 replayed:1]]" {
		t.Errorf("%v %+v", err, status)
	}
	response, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	mustContain(t, "/metrics", string(text), `ombor_quarantine_entries{code="unknown_reference",state="open"} 1`)
	s.sell(`{"specversion":"1.0","id":"x","source":"till","type":"shop.sale.v1","time":"2024-05-01T10:00:00+05:00","data":{"good":"bread"}}`)
	today := time.Now().In(time.FixedZone("Tashkent", 5*3600))
	for _, days := range [][]string{nil, {"--since", today.AddDate(0, 0, -1).Format(time.DateOnly), "--until", today.AddDate(0, 0, 1).Format(time.DateOnly)}} {
		r := ombor(t, append([]string{"quality", "--data", data, "--format", "csv", "--source", "till"}, days...)...)
		// Accepted: a, b, c, f and the corrections of a and f. In conflict: a three times, f once.
		mustContain(t, "quality", r.stdout, "till,shop.sale.v1,6,1,4,1,0,1,5,1,")
	}
	if r := ombor(t, "quality", "--data", data, "--until", "2020-01-01"); r.code != 0 || !strings.Contains(r.stdout, "Nothing came") {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}

	// The table learns honey: what waited for it is replayed by itself, however often the
	// server is killed on the way, each once.
	var waiting []string
	for i := range 3000 {
		waiting = append(waiting, sale(fmt.Sprint("h", i), "honey", 1))
	}
	if a := s.sell(waiting...); a.Held != len(waiting) {
		t.Fatalf("%d are held", a.Held)
	}
	learned := files(t, stall("bread", "tea", "honey"))
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		s.crash()
		s = serve(t, data, "--pack", learned)
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond) // where it is killed decides nothing
	}
	s.crash()
	s = serve(t, data, "--pack", learned)
	deadline := time.Now().Add(2 * time.Minute)
	for len(s.openHeld()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("events still wait for a reference that is known: %v\n%s", s.openHeld(), s.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.sell(waiting[:100]...)
	figures("learned", "bread 87 of 3, honey 3003 of 3001, tea 2 of 1")

	// No raw identifier in any byte on disk.
	s.stop()
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(buyer)) {
			t.Errorf("%s holds the raw identifier", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openHeld counts the open entries by code.
func (s *server) openHeld() (list []string) {
	s.t.Helper()
	var status struct {
		Quarantine []struct {
			Code string
			Open int
		}
	}
	if err := s.getJSON("/v1/status", &status); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range status.Quarantine {
		if c.Open > 0 {
			list = append(list, fmt.Sprintf("%d %s", c.Open, c.Code))
		}
	}
	slices.Sort(list)
	return list
}
