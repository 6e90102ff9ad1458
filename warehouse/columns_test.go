package warehouse_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ombor/internal/problem"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestColumns reads every type that questions ask for, in many blocks.
func TestColumns(t *testing.T) {
	w := warehousetest.Open(t, setOf(t), nil)
	const rows = 1000
	sql := `SELECT toInt64(number) - 5, number, toUInt16(number), toUInt8(number % 7), toDate('2024-01-31') + number,
	if(number % 3 = 0, '', toString(number)), if(number % 2 = 0, NULL, toString(number)), toLowCardinality(toString(number % 300)),
	toLowCardinality(if(number % 2 = 0, NULL, 'odd')), mapFromArrays([toInt32(number), toInt32(-1), toInt32(5000)], [toInt64(1), toInt64(-2), toInt64(number)])
FROM numbers({rows:UInt64}) ORDER BY number SETTINGS max_block_size = 100`
	blocks, at := 0, int64(0)
	err := w.Columns(context.Background(), sql, map[string]string{"rows": fmt.Sprint(rows)}, func(n int, columns []warehouse.Column) error {
		blocks++
		var numbers [5][]int64
		for i := range numbers {
			numbers[i] = must(columns[i].Numbers())(t)
		}
		var texts [4][]string
		for i := range texts {
			texts[i] = must(columns[5+i].Texts())(t)
		}
		histograms := must(columns[9].Histograms())(t)
		for row := range n {
			odd, third := at%2 == 1, at%3 == 0
			text := fmt.Sprint(at)
			got := []any{numbers[0][row], numbers[1][row], numbers[2][row], numbers[3][row], numbers[4][row],
				texts[0][row], texts[1][row], texts[2][row], texts[3][row], histograms[row]}
			want := []any{at - 5, at, at, at % 7, 19753 + at, unless(third, text), unless(!odd, text), fmt.Sprint(at % 300), unless(!odd, "odd"),
				warehouse.Histogram{Keys: []int32{-1, int32(at), 5000}, Counts: []int64{-2, 1, at}}}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("row %d: %v, want %v", at, got, want)
			}
			at++
		}
		if _, err := columns[0].Texts(); err == nil {
			t.Error("numbers are read as texts")
		}
		if _, err := columns[7].Numbers(); err == nil {
			t.Error("texts are read as numbers")
		}
		if _, err := columns[7].Histograms(); err == nil {
			t.Error("texts are read as buckets")
		}
		return nil
	})
	if err != nil || at != rows || blocks < 2 {
		t.Errorf("%d rows in %d blocks, %v", at, blocks, err)
	}
}

// TestColumnsFail tells an answer that breaks off from one that has ended.
func TestColumnsFail(t *testing.T) {
	w := warehousetest.Open(t, setOf(t), nil)
	stop := errors.New("enough")
	for name, try := range map[string]struct {
		sql  string
		kind problem.Kind
		says string
	}{
		"refused":    {"SELECT nothing", problem.Internal, "refused"},
		"breaks off": {"SELECT throwIf(number = 90000, 'broken') FROM numbers(100000) SETTINGS max_block_size = 1000, max_threads = 1", problem.Internal, "broken"},
		"too long":   {"SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 1, max_block_size = 1", problem.Unavailable, "time"},
	} {
		err := w.Columns(context.Background(), try.sql, nil, func(int, []warehouse.Column) error { return nil })
		if problem.KindOf(err) != try.kind || !strings.Contains(fmt.Sprint(err), try.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	calls := 0
	err := w.Columns(context.Background(), "SELECT number FROM numbers(1000000) SETTINGS max_block_size = 1000", nil, func(int, []warehouse.Column) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("given up: %v after %d calls", err, calls)
	}
	none := false
	if err := w.Columns(context.Background(), "SELECT 1 WHERE 0", nil, func(int, []warehouse.Column) error { none = true; return nil }); err != nil || none {
		t.Errorf("no rows: %v, called: %v", err, none)
	}
}

// TestQuantiles takes buckets that corrections have emptied, or more, for empty.
func TestQuantiles(t *testing.T) {
	h := warehouse.Histogram{Keys: []int32{1, 2, 3, 10}, Counts: []int64{3, 0, 1, -1}}
	if values, n := warehouse.WholeQuantiles(h, []float64{0, 0.5, 0.9, 1}); n != 4 || fmt.Sprintf("%.3f", values) != "[1.000 1.000 2.400 3.000]" {
		t.Errorf("%v of %d", values, n)
	}
	// The decimal itself, not the binary fraction that the sum comes to: 15.399999999999977.
	h = warehouse.Histogram{Keys: []int32{15, 16}, Counts: []int64{789, 88}}
	if values, n := warehouse.WholeQuantiles(h, []float64{0.9}); n != 877 || fmt.Sprint(values) != "[15.4]" {
		t.Errorf("%v of %d", values, n)
	}
	if values, n := warehouse.Quantiles(warehouse.Histogram{Keys: []int32{4}, Counts: []int64{0}}, []float64{0.5}); n != 0 || values != nil {
		t.Errorf("of nothing: %v of %d", values, n)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func unless(empty bool, text string) string {
	if empty {
		return ""
	}
	return text
}
