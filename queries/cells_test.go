package queries_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/queries"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

// TestTooManyCells: an answer with more cells than one may have is refused before persons are counted
// from facts, which takes long. Here there are no facts to count them from.
func TestTooManyCells(t *testing.T) {
	f := country(t)
	w := warehousetest.Open(t, f.set, f.kpis)
	c := w.Contract("request.decided")
	var rows []warehousetest.Row
	for i, region := range []string{"1703", "1706", "1708"} {
		at := time.Date(2024, 3, 1+i, 6, 0, 0, 0, time.UTC)
		rows = append(rows, warehousetest.Row{ID: uint64(i + 1), Time: at, Batch: 1, Data: map[string]any{"region": region, "service": "s00", "agency": "a", "processing": "automatic", "mobile": true, "applicant": uint64(i), "submitted_at": at.Add(-time.Hour), "fee": int64(1)}})
	}
	warehousetest.Insert(t, w, c, rows)
	enginetest.Shared(t).Exec(t, "DROP TABLE "+w.Facts(c)+" SYNC")
	request := queries.Request{KPI: "guarded-share", From: day("2024-03-01"), To: day("2024-03-03"), Grain: queries.Day, By: []string{"region"}}
	for cells, want := range map[int]string{8: "more than 8 cells", 9: "request_decided"} { // three regions, three days
		q := queries.New(w, f.kpis, f.refs, queries.Options{K: 14, MaxCells: cells, Now: func() time.Time { return now }})
		_, err := q.Values(context.Background(), request)
		if err == nil || !strings.Contains(err.Error(), want) || cells == 8 && problem.KindOf(err) != problem.BadInput {
			t.Errorf("%d cells: %v, want %q", cells, err, want)
		}
	}
}
