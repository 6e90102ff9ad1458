package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
)

// noon is when the tests happen.
var noon = time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)

func city(t *testing.T) *pack.Pack {
	t.Helper()
	files, err := pack.Open(filepath.Join("testdata", "city"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func configOf(p *pack.Pack) Config {
	return Config{
		Queries: new(queries.Queries), // asked nothing by the tests that have no engine
		Pack: Facts{Name: p.Name, Title: p.Title, Languages: p.Languages, Zone: p.Zone, Currency: p.Currency, Labels: p.Labels,
			KPIs: p.KPIs, Targets: p.Targets, Contracts: p.Set, Reference: p.Reference},
		Version: "test",
		Now:     func() time.Time { return noon },
	}
}

// small is a server without an engine behind it, for what needs no figures.
func small(t *testing.T) *server {
	t.Helper()
	s, err := newServer(configOf(city(t)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var loaded struct {
	sync.Once
	warehouse *warehouse.Warehouse
	pack      *pack.Pack
}

// real is the API over a real engine that holds the cases of [events].
func real(t *testing.T) http.Handler {
	t.Helper()
	loaded.Do(func() {
		p := city(t)
		engine := enginetest.Shared(t)
		ctx := context.Background()
		w, err := warehouse.Open(ctx, warehouse.Config{Socket: engine.Socket(), Prefix: "dashboards_"}, p.Set, p.KPIs)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		load(t, w, p, events())
		loaded.warehouse, loaded.pack = w, p
	})
	if loaded.warehouse == nil {
		t.Fatal("the engine could not be filled; an earlier test says why")
	}
	config := configOf(loaded.pack)
	config.Queries = queries.New(loaded.warehouse, loaded.pack.KPIs, loaded.pack.Reference, queries.Options{Targets: loaded.pack.Targets, Now: config.Now})
	config.Status = func() Status {
		return Status{Journal: 7, Loaded: 7, Lake: 5, Received: noon, Lag: time.Second,
			Sources: []Source{{Source: "desk", Title: reference.Names{"en": "Desk"}, Owner: "city-hall", LastEvent: noon, Received: noon, Events: 96}}}
	}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// events are 96 cases: eight a month of 2023, in two departments; in each month
// three come by the application, and the last of the eight is overdue.
func events() [][]byte {
	var list [][]byte
	for month := range 12 {
		for i := range 8 {
			at := time.Date(2023, time.Month(month+1), 3+i, 15, 0, 0, 0, time.UTC)
			department, channel := "PWDx", "Constituent Call"
			if i%2 == 1 {
				department = "=INFO" // a label that a spreadsheet would take for a formula
			}
			if i < 3 {
				channel = "Citizens Connect App"
			}
			event, err := json.Marshal(map[string]any{"specversion": "1.0", "id": fmt.Sprintf("%d-%d", month, i), "source": "desk",
				"type": "city.case.opened.v1", "time": at.Format(time.RFC3339), "data": map[string]any{
					"case": fmt.Sprint(month*8 + i), "department": department, "channel": channel, "neighborhood": "Dorchester",
					"closed_at": at.Add(time.Duration(i+1) * time.Hour).Format(time.RFC3339), "on_time": i < 7}})
			if err != nil {
				panic(err)
			}
			list = append(list, event)
		}
	}
	return list
}

// load puts events into facts and rollups, as the loader does, in one batch.
func load(t *testing.T, w *warehouse.Warehouse, p *pack.Pack, events [][]byte) {
	t.Helper()
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	batch := contract.NewChecker(p.Set, keys, contract.Limits{}).NewBatch()
	for i, event := range events {
		if refusal := batch.Add(i, event); refusal != nil {
			t.Fatalf("event %d refused: %+v", i, refusal)
		}
	}
	ctx := context.Background()
	cut := reference.DayOf(noon)
	for _, part := range batch.Parts() {
		if err := w.InsertFacts(ctx, part.Contract, bytes.NewReader(ledger(t, part.Record, cut))); err != nil {
			t.Fatal(err)
		}
		if err := w.ApplyRollups(ctx, part.Contract, cut, 1); err != nil {
			t.Fatal(err)
		}
		part.Record.Release()
	}
}

// ledger adds the loader's columns to a record and writes it as an Arrow stream.
func ledger(t *testing.T, record arrow.Record, cut reference.Day) []byte {
	t.Helper()
	rows := int(record.NumRows())
	sign, day := array.NewInt8Builder(memory.DefaultAllocator), array.NewDate32Builder(memory.DefaultAllocator)
	seq, batch := array.NewUint64Builder(memory.DefaultAllocator), array.NewUint64Builder(memory.DefaultAllocator)
	for i := range rows {
		sign.Append(1)
		day.Append(arrow.Date32(cut))
		seq.Append(1<<20 + uint64(i))
		batch.Append(1)
	}
	fields := append([]arrow.Field(nil), record.Schema().Fields()...)
	columns := append([]arrow.Array(nil), record.Columns()...)
	for _, c := range []struct {
		name  string
		array arrow.Array
	}{{"_sign", sign.NewArray()}, {"_cut", day.NewArray()}, {"_seq", seq.NewArray()}, {"_batch", batch.NewArray()}} {
		fields, columns = append(fields, arrow.Field{Name: c.name, Type: c.array.DataType()}), append(columns, c.array)
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	stream := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := stream.Write(array.NewRecord(schema, columns, int64(rows))); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
