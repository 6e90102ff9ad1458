package queries_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

// events is how many events the benchmarks stand on: OMBOR_EVENTS, or one million.
func events(b *testing.B) int {
	n := 1_000_000
	if text := os.Getenv("OMBOR_EVENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1200 {
			b.Fatalf("OMBOR_EVENTS=%s is not a number of events", text)
		}
	}
	return n
}

// national fills a warehouse with a year of made-up decisions, a month of receipt at a
// time, and its rollups from them.
func national(b *testing.B, n int) (*fixture, *warehouse.Warehouse, *queries.Queries) {
	b.Helper()
	f := country(b)
	w := warehousetest.Open(b, f.set, f.kpis)
	e := enginetest.Shared(b)
	for month := range 12 {
		first := time.Date(2024, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC)
		rows := n / 12
		e.Exec(b, fmt.Sprintf(`INSERT INTO %s (_id, _rev, _sign, _simulated, _source, time, _day, region, agency, processing, mobile, applicant, submitted_at, fee, area, score, numerator, _cut, _seq, _batch)
SELECT reinterpretAsUUID(sipHash128(number, %d)), 0, 1, true, ['portal', 'mobile'][number %% 2 + 1], t, toDate(toTimeZone(t, 'Asia/Tashkent')),
    ['1703', '1726', '1730'][h %% 3 + 1], 'agency ' || toString(h %% 40), ['automatic', 'officer_online', 'offline'][h %% 7 %% 3 + 1], h %% 5 = 0,
    reinterpretAsUUID(sipHash128(h %% 900000)), t - toIntervalMinute(h %% 50000), h %% 100000, toDecimal64(h %% 10000, 2), h %% 5 + 1, h %% 9,
    toDate(t), %d + number, %d
FROM (SELECT number, cityHash64(number, %d) AS h, toDateTime64('%s', 3, 'UTC') + number * %d / 1000 AS t FROM numbers(%d))
SETTINGS max_insert_threads = 1`, w.Facts(f.decided), month, (month+1)<<20, month+1, month, first.Format("2006-01-02 00:00:00"), 27*86400*1000/rows, rows))
		if err := w.Refill(context.Background(), f.decided, reference.DayOf(first)); err != nil {
			b.Fatal(err)
		}
	}
	return f, w, queries.New(w, f.kpis, f.refs, queries.Options{Now: func() time.Time { return now }})
}

// BenchmarkValues asks for a year of one KPI by month from each kind of table. The rows
// of facts stand in rows/op, so that answers from rollups and from facts can be held
// against each other.
func BenchmarkValues(b *testing.B) {
	n := events(b)
	_, w, q := national(b, n)
	status, err := w.Status(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range status.Tables {
		b.Logf("%-60s %10d rows %12d bytes %6.1f a row", t.Name, t.Rows, t.Bytes, float64(t.Bytes)/float64(max(t.Rows, 1)))
	}
	for _, c := range []struct {
		name    string
		request queries.Request
	}{
		{"rollup/nation", queries.Request{KPI: "online-share"}},
		{"rollup/region", queries.Request{KPI: "online-share", By: []string{"region"}}},
		{"rollup/agency-mobile", queries.Request{KPI: "online-share", By: []string{"agency", "mobile"}}},
		{"rollup/persons", queries.Request{KPI: "guarded-share", By: []string{"region"}}},
		{"rollup/quantiles", queries.Request{KPI: "duration", By: []string{"region"}}},
		{"facts/agency-region", queries.Request{KPI: "online-share", By: []string{"agency", "region"}}},
		{"facts/distinct", queries.Request{KPI: "applicants"}},
	} {
		c.request.From, c.request.To, c.request.Grain = day("2024-01-01"), day("2024-12-31"), queries.Month
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Values(context.Background(), c.request); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "facts")
		})
	}
}

// BenchmarkApply writes one plan of 20,000 rows into facts and every rollup.
func BenchmarkApply(b *testing.B) {
	f := country(b)
	w := warehousetest.Open(b, f.set, f.kpis)
	rows := decidedRows(20_000, 3)
	for i := range rows {
		rows[i].Cut = day("2024-05-05")
	}
	batch := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch++
		for i := range rows {
			rows[i].Batch, rows[i].Seq = batch, batch<<20+uint64(i)
		}
		b.StartTimer()
		warehousetest.Insert(b, w, f.decided, rows)
	}
	b.ReportMetric(float64(len(rows)), "rows/op")
	b.ReportMetric(float64(len(w.Rollups(f.decided))), "rollups")
}
