package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ombor/warehouse/engine/enginetest"
)

// connect opens clickhouse-go's HTTP client on e.
func connect(t testing.TB, e *enginetest.Engine, database string, settings clickhouse.Settings) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:     clickhouse.HTTP,
		Addr:         []string{enginetest.Addr},
		Auth:         clickhouse.Auth{Database: database},
		DialContext:  e.Dial,
		Settings:     settings,
		MaxOpenConns: 64,
		ReadTimeout:  time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestClientRoundTrip(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	ctx := context.Background()
	conn := connect(t, e, db, nil)
	if err := conn.Ping(ctx); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	if err := conn.Exec(ctx, "CREATE TABLE t (id UInt64, name LowCardinality(String), at DateTime('Asia/Tashkent'), tags Array(String)) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatalf("Exec: %v", err)
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO t")
	if err != nil {
		t.Fatalf("PrepareBatch: %v", err)
	}
	at := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 1000 {
		if err := batch.Append(uint64(i), "name", at.Add(time.Duration(i)*time.Second), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatalf("Send: %v", err)
	}
	if err := conn.InsertFormat(ctx, "CSV", "INSERT INTO t (id, name, at, tags)", strings.NewReader("1000,x,\"2024-03-01 17:00:00\",\"['c']\"\n")); err != nil {
		t.Fatalf("InsertFormat: %v", err)
	}
	rows, err := conn.Query(ctx, "SELECT id, name, at, tags FROM t WHERE id >= {from:UInt64} ORDER BY id", clickhouse.Named("from", "999"))
	if err != nil {
		t.Fatalf("Query: %v", err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var id uint64
		var name string
		var when time.Time
		var tags []string
		if err := rows.Scan(&id, &name, &when, &tags); err != nil {
			t.Fatal(err)
		}
		got = append(got, name+" "+when.Format(time.RFC3339)+" "+strings.Join(tags, ","))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"name 2024-03-01T17:16:39+05:00 a,b", "x 2024-03-01T17:00:00+05:00 c"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, format := range []string{"CSVWithNames", "JSONEachRow", "Parquet", "ArrowStream"} {
		r, err := conn.QueryFormat(ctx, format, "SELECT id, name FROM t")
		if err != nil {
			t.Fatalf("QueryFormat %s: %v", format, err)
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatalf("QueryFormat %s: %v", format, err)
		}
		if err := conn.Exec(ctx, "CREATE TABLE back_"+format+" (id UInt64, name String) ENGINE = MergeTree ORDER BY id"); err != nil {
			t.Fatal(err)
		}
		if err := conn.InsertFormat(ctx, format, "INSERT INTO back_"+format, bytes.NewReader(data)); err != nil {
			t.Fatalf("InsertFormat %s: %v", format, err)
		}
		var n, sum uint64
		if err := conn.QueryRow(ctx, "SELECT count(), sum(id) FROM back_"+format).Scan(&n, &sum); err != nil {
			t.Fatal(err)
		}
		if n != 1001 || sum != 1000*1001/2 {
			t.Errorf("%s: %d rows, sum %d", format, n, sum)
		}
	}
	err = conn.Exec(ctx, "SELECT * FROM nowhere")
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || exception.Code != 60 || exception.CodeName != "UNKNOWN_TABLE" {
		t.Errorf("an unknown table gives %v", err)
	}
}
