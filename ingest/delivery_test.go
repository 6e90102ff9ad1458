package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/ingest/loader"
	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/reference"
	"ombor/internal/stream"
	"ombor/warehouse"
	"ombor/warehouse/lake"
	"ombor/warehouse/warehousetest"
)

var ctx = context.Background()

const saleType = "test.sale.v1"

// depot is a door and everything behind it, real: journal, loader, engine, lake.
type depot struct {
	t         *testing.T
	url       string
	contract  *contract.Contract
	journal   *journal.Journal
	loader    *loader.Loader
	warehouse *warehouse.Warehouse
	lake      *lake.Lake
	spoil     func(*journal.Message) // what a closing reads of the journal
	between   func()                 // called by a closing after it has read the journal, before it asks what stands
}

func newDepot(t *testing.T, limits ingest.Limits) *depot {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	tashkent, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		t.Fatal(err)
	}
	fields := []contract.Field{{Name: "shop", Type: contract.Code, Required: true}, {Name: "amount", Type: contract.Money, Required: true}, {Name: "at", Type: contract.Timestamp, Required: true}}
	set, err := contract.NewSet("test.", tashkent, []*contract.Contract{
		{Type: saleType, Name: "sale", Major: 1, File: "sale.yaml", Fields: fields},
		{Type: "test.return.v1", Name: "return", Major: 1, File: "return.yaml", Fields: fields[:1]},
	}, reference.NewSet(nil))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, err := contract.OpenKeys(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := &depot{t: t, contract: set.ByType(saleType), spoil: func(*journal.Message) {}, between: func() {}}
	d.warehouse = warehousetest.Open(t, set, nil)
	conn, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(dir, "nats"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if d.journal, err = journal.Open(ctx, conn, journal.Options{Contracts: set, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	store, err := objects.Open(ctx, filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	d.lake = lake.Open(store)
	if d.loader, err = loader.New(loader.Config{Journal: d.journal, Warehouse: d.warehouse, Lake: d.lake, Set: set, Dir: filepath.Join(dir, "loader"),
		Interval: 5 * time.Millisecond, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.loader.Run(running) }()
	door, err := ingest.New(ingest.Config{Checker: contract.NewChecker(set, keys, contract.Limits{}), Journal: d.journal, SigningKey: []byte("0123456789abcdef"),
		Limits: limits, Log: quiet, Closing: &ingest.Closing{
			Last: func(ctx context.Context) (uint64, error) { s, err := d.journal.Status(ctx); return s.Last, err },
			Read: func(ctx context.Context, first, last uint64, eventType string, fn func(journal.Message) error) error {
				return d.journal.Read(ctx, first, last, eventType, func(m journal.Message) error {
					d.spoil(&m)
					return fn(m)
				})
			},
			WaitLoaded: d.loader.WaitLoaded,
			Standing: func(ctx context.Context, c *contract.Contract, source string, days []reference.Day, before uint64, row func([16]byte, uint32, time.Time) error) error {
				d.between()
				return d.warehouse.Standing(ctx, c, source, days, before, row)
			},
		}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/events", door.Events())
	mux.Handle("/v1/deliveries", door.Deliveries())
	server := httptest.NewServer(mux)
	d.url = server.URL
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the loader: %v", err)
		}
		for _, close := range []func() error{d.loader.Close, d.journal.Close, conn.Close} {
			if err := close(); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

// sale is one row of a delivery: "A 5 2024-05-01" is id, amount and day, and a source
// when it is not the till.
func sale(row string) string {
	var id, day string
	var amount int
	source := "till"
	if n, err := fmt.Sscan(row, &id, &amount, &day, &source); err != nil && n < 3 {
		panic(row)
	}
	at := day + "T00:30:00+05:00" // in UTC this is the day before
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":%q,"time":%q,"onchange":"correct","replaces":%q,"data":{"shop":"s","amount":%d,"at":%q}}`,
		id, source, saleType, at, day, amount, at)
}

// send sends rows as one request each and returns the receipts.
func (d *depot) send(requests ...string) []string {
	d.t.Helper()
	var receipts []string
	for _, request := range requests {
		var lines strings.Builder
		for row := range strings.SplitSeq(request, ", ") {
			lines.WriteString(sale(row) + "\n")
		}
		receipts = append(receipts, d.post(lines.String()))
	}
	return receipts
}

func (d *depot) post(lines string) string {
	d.t.Helper()
	a := post(d.t, d.url, "application/x-ndjson", strings.NewReader(lines))
	if a.Status != http.StatusOK || len(a.Rejected) > 0 || a.Receipt == "" {
		d.t.Fatalf("%d %s", a.Status, a.Text)
	}
	return a.Receipt
}

// close closes a delivery of the till and returns "events withdrawn", or the status and
// the reason.
func (d *depot) close(days string, receipts ...string) string {
	d.t.Helper()
	return d.request(ingest.Delivery{Type: saleType, Source: "till", Days: strings.Fields(days), Receipts: receipts})
}

func (d *depot) request(body any) string {
	d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := http.Post(d.url+"/v1/deliveries", "application/json", strings.NewReader(string(text)))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		var p struct{ Detail string }
		if err := json.Unmarshal(answer, &p); err != nil {
			d.t.Fatalf("%d %s", response.StatusCode, answer)
		}
		return fmt.Sprintf("%d %s", response.StatusCode, p.Detail)
	}
	var closed ingest.Closed
	if err := json.Unmarshal(answer, &closed); err != nil {
		d.t.Fatal(err)
	}
	if (closed.Withdrawn > 0) != (closed.Receipt != "") {
		d.t.Errorf("%s", answer)
	}
	return fmt.Sprintf("%d %d", closed.Events, closed.Withdrawn)
}

// holds fails unless exactly those rows stand, as "amount day source", sorted, in
// the warehouse, and their signs add up in the lake.
func (d *depot) holds(when string, rows ...string) {
	d.t.Helper()
	status, err := d.journal.Status(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.loader.WaitLoaded(waiting, status.Last); err != nil {
		d.t.Fatalf("%s: %v %+v", when, err, d.loader.Status())
	}
	var got []string
	if err := d.warehouse.Each(ctx, "SELECT concat(toString(amount), ' ', toString(_day), ' ', _source), sum(_sign) FROM "+d.warehouse.Facts(d.contract)+
		" GROUP BY _id, amount, _day, _source HAVING sum(_sign) != 0 ORDER BY 1", nil, func(scan warehouse.Scan) error {
		var row string
		var n int64
		err := scan(&row, &n)
		if n != 1 {
			row += fmt.Sprint(" counts ", n)
		}
		got = append(got, row)
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(rows) {
		d.t.Errorf("%s:\nstands %q\nwant   %q", when, got, rows)
	}
	files, err := d.lake.Files(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	signs := 0
	for _, f := range files {
		signs += signsOf(d.t, d.lake, f, d.contract)
	}
	if signs != len(rows) {
		d.t.Errorf("%s: the lake's signs add up to %d, want %d", when, signs, len(rows))
	}
}

func signsOf(t *testing.T, l *lake.Lake, f lake.File, c *contract.Contract) (sum int) {
	t.Helper()
	if f.Contract != c.Type {
		return 0
	}
	if err := l.Read(ctx, f, c, func(rec arrow.Record) error {
		signs := rec.Column(rec.Schema().FieldIndices(lake.ColumnSign)[0]).(*array.Int8)
		for _, sign := range signs.Int8Values() {
			sum += int(sign)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return sum
}

// want compares an answer's beginning, so that a status alone can be asked for.
func want(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for i, part := range parts {
		if i == 0 && !strings.HasPrefix(got, part) || !strings.Contains(got, part) {
			t.Errorf("%s: %q, want %q", what, got, parts)
		}
	}
}

func TestDeliveryReplacesItsDays(t *testing.T) {
	d := newDepot(t, ingest.Limits{})
	const one, two = "2024-05-01", "2024-05-02"
	r := d.send("A 1 "+one+", B 2 "+one, "C 3 "+one+", X 10 "+two, "A 7 "+one+" desk")
	want(t, "first", d.close(one, r[:2]...), "4 0")
	base := []string{"10 2024-05-02 till", "7 2024-05-01 desk"}
	d.holds("first", append([]string{"1 2024-05-01 till", base[0], "2 2024-05-01 till", "3 2024-05-01 till"}, base[1])...)

	second := "A 5 " + one + ", C 3 " + one + ", D 4 " + one
	r = d.send(second)
	d.holds("not closed", "10 2024-05-02 till", "2 2024-05-01 till", "3 2024-05-01 till", "4 2024-05-01 till", "5 2024-05-01 till", "7 2024-05-01 desk")
	want(t, "second", d.close(one, r...), "3 1")
	after := []string{"10 2024-05-02 till", "3 2024-05-01 till", "4 2024-05-01 till", "5 2024-05-01 till", "7 2024-05-01 desk"}
	d.holds("second", after...)
	want(t, "closed again", d.close(one, r...), "3 0")
	want(t, "sent and closed again", d.close(one, d.send(second)...), "3 0")
	d.holds("second again", after...)

	// A row that comes back counts again, and can go again.
	want(t, "B is back", d.close(one, d.send(second+", B 2 "+one)...), "4 0")
	d.holds("B is back", append([]string{"10 2024-05-02 till", "2 2024-05-01 till"}, after[1:]...)...)
	want(t, "B is gone", d.close(one, d.send(second)...), "3 1")
	d.holds("B is gone", after...)

	// An event that moves to another day is corrected, not withdrawn, whichever days are closed.
	want(t, "A moves", d.close(one+" "+two, d.send("C 3 "+one+", D 4 "+one+", A 5 "+two+", X 10 "+two)...), "4 0")
	d.holds("A moves", "10 2024-05-02 till", "3 2024-05-01 till", "4 2024-05-01 till", "5 2024-05-02 till", "7 2024-05-01 desk")
	// An event twice in a file, on two days: the later one stands.
	want(t, "C twice", d.close(one+" "+two, d.send("C 3 "+one+", D 4 "+one+", A 5 "+two, "X 10 "+two+", C 6 "+two)...), "4 0")
	d.holds("C twice", "10 2024-05-02 till", "4 2024-05-01 till", "5 2024-05-02 till", "6 2024-05-02 till", "7 2024-05-01 desk")
}

func TestDeliveryIsRefused(t *testing.T) {
	d := newDepot(t, ingest.Limits{Delivery: 5})
	const day = "2024-05-01"
	gone := d.send("A 1 "+day+", B 2 "+day, "C 3 "+day+", D 4 "+day)
	r := d.send("A 1 " + day)
	desk := d.send("A 1 " + day + " desk")
	plain := d.post(strings.ReplaceAll(sale("Z 9 2024-05-03"), `"onchange":"correct",`, ""))
	elsewhere := d.post(`{"specversion":"1.0","id":"r","source":"till","type":"test.return.v1","time":"2024-05-01T00:30:00+05:00","onchange":"correct","data":{"shop":"s"}}`)
	stands := []string{"1 2024-05-01 desk", "1 2024-05-01 till", "2 2024-05-01 till", "3 2024-05-01 till", "4 2024-05-01 till", "9 2024-05-03 till"}
	ok := ingest.Delivery{Type: saleType, Source: "till", Days: []string{day}, Receipts: r}
	with := func(change func(*ingest.Delivery)) ingest.Delivery { b := ok; change(&b); return b }
	for name, c := range map[string]struct {
		body any
		want []string
	}{
		"no object":        {[]int{1}, []string{"400", "no object of type, source, days and receipts"}},
		"unknown key":      {map[string]any{"type": saleType, "day": day}, []string{"400", "no object"}},
		"type":             {with(func(b *ingest.Delivery) { b.Type = "test.sales.v1" }), []string{"400", `"test.sales.v1"`}},
		"no source":        {with(func(b *ingest.Delivery) { b.Source = "" }), []string{"400", "source: is missing"}},
		"no days":          {with(func(b *ingest.Delivery) { b.Days = nil }), []string{"400", "days: is empty"}},
		"no day":           {with(func(b *ingest.Delivery) { b.Days = []string{"2024-5-1"} }), []string{"400", `"2024-5-1" is no day`}},
		"empty day":        {with(func(b *ingest.Delivery) { b.Days = []string{day, "2024-05-02"} }), []string{"400", "no event of 2024-05-02"}},
		"no receipts":      {with(func(b *ingest.Delivery) { b.Receipts = nil }), []string{"400", "receipts: is empty"}},
		"receipt not ours": {with(func(b *ingest.Delivery) { b.Receipts = []string{r[0], r[0][:9] + "x" + r[0][10:]} }), []string{"400", "number 2 was not given by this server"}},
		"another source":   {with(func(b *ingest.Delivery) { b.Receipts = []string{r[0], desk[0]} }), []string{"400", "holds no event of type test.sale.v1 and source \"till\"", desk[0]}},
		"another type":     {with(func(b *ingest.Delivery) { b.Receipts = []string{r[0], elsewhere} }), []string{"400", elsewhere}},
		"no correction":    {with(func(b *ingest.Delivery) { b.Days, b.Receipts = []string{"2024-05-03"}, []string{plain} }), []string{"400", "onchange"}},
		"too many events":  {with(func(b *ingest.Delivery) { b.Receipts = append(gone, r...) }), []string{"413", "more than 5 events"}},
	} {
		t.Run(name, func(t *testing.T) { want(t, name, d.request(c.body), c.want...) })
	}
	if response, err := http.Get(d.url + "/v1/deliveries"); err != nil || response.StatusCode != http.StatusUnsupportedMediaType && response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %v %v", response, err)
	}
	d.holds("after the refusals", stands...)

	// What the journal no longer holds is loaded again.
	status, err := d.journal.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.journal.Purge(ctx, status.Last+1); err != nil {
		t.Fatal(err)
	}
	want(t, "purged", d.request(ok), "409", "no longer holds the delivery", "load the file again")
	r = d.send("A 1 " + day)
	want(t, "partly purged", d.close(day, append(r, gone...)...), "409", "no longer holds the delivery")
	d.holds("purged", stands...)
	want(t, "loaded again", d.close(day, r...), "1 3")
	d.holds("loaded again", "1 2024-05-01 desk", "1 2024-05-01 till", "9 2024-05-03 till")
}

// TestDeliveriesMeet: what comes from others while a delivery is sent and closed is
// never withdrawn by it for good.
func TestDeliveriesMeet(t *testing.T) {
	const day = "2024-05-01"
	a, b, c, n := "1 2024-05-01 till", "2 2024-05-01 till", "3 2024-05-01 till", "9 2024-05-01 till"
	t.Run("interleaved", func(t *testing.T) {
		d := newDepot(t, ingest.Limits{})
		want(t, "before", d.close(day, d.send("A 1 "+day+", B 2 "+day+", C 3 "+day)...), "3 0")
		first, second := d.send("A 1 "+day), d.send("A 1 "+day+", B 2 "+day)
		want(t, "first", d.close(day, first...), "1 1") // B came again since
		d.holds("first", a, b)
		want(t, "second", d.close(day, second...), "2 0")
		d.holds("second", a, b)
	})
	t.Run("moved by another", func(t *testing.T) {
		d := newDepot(t, ingest.Limits{})
		r := d.send("A 1 " + day)
		d.send("A 1 2024-05-02")
		want(t, "first", d.close(day, r...), "1 0")
		d.holds("first", "1 2024-05-02 till")
	})
	t.Run("between reading and asking", func(t *testing.T) {
		d := newDepot(t, ingest.Limits{})
		d.send("A 1 " + day + ", B 2 " + day + ", C 3 " + day)
		r := d.send("A 1 " + day)
		var other []string
		d.between = func() {
			other = d.send("A 1 "+day+", B 7 "+day, "C 3 "+day+", N 9 "+day)
			d.between = func() {}
			waiting, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			status, err := d.journal.Status(ctx)
			if err = errors.Join(err, d.loader.WaitLoaded(waiting, status.Last)); err != nil {
				t.Error(err)
			}
		}
		want(t, "first", d.close(day, r...), "1 2")
		// B had changed, so its withdrawal came to nothing; the new N was not looked at; C had
		// not changed and is gone: its sender is told.
		d.holds("first", a, "7 2024-05-01 till", n)
		want(t, "other", d.close(day, other...), "409", "1 events of this delivery were withdrawn since", "load the file")
		want(t, "other again", d.close(day, d.send("A 1 "+day+", B 7 "+day+", C 3 "+day+", N 9 "+day)...), "4 0")
		d.holds("other again", a, c, "7 2024-05-01 till", n)
	})
}

// TestDamagedDelivery: what cannot be read back was perhaps there.
func TestDamagedDelivery(t *testing.T) {
	d := newDepot(t, ingest.Limits{})
	const day = "2024-05-01"
	d.send("A 1 " + day + ", B 2 " + day)
	r := d.send("A 1 "+day, "C 3 "+day)
	d.send("N 9 2024-05-02")
	for _, c := range []struct {
		name   string
		seq    uint64
		damage journal.Damage
		want   []string
	}{
		{"a part", 3, journal.Damage{Type: saleType, Rows: 1, Reason: "x"}, []string{"409", "damaged", "load the file again"}},
		{"a message", 2, journal.Damage{Whole: true, Reason: "x"}, []string{"409", "damaged", "load the file again"}},
		{"a message of another", 4, journal.Damage{Whole: true, Reason: "x"}, []string{"2 1"}},
	} {
		d.spoil = func(m *journal.Message) {
			if m.Seq == c.seq {
				c.damage.Seq = c.seq
				m.Damage = append(m.Damage, c.damage)
				for i := range m.Parts {
					m.Parts[i].Record = nil
				}
			}
		}
		want(t, c.name, d.close(day, r...), c.want...)
	}
	d.holds("at the end", "1 2024-05-01 till", "3 2024-05-01 till", "9 2024-05-02 till")
}
