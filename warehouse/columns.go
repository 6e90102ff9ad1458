package warehouse

import (
	"context"
	"errors"
	"io"
	"maps"
	"sort"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/problem"
)

// Columns runs one SELECT with bound parameters ({name:Type}), read-only, and calls block with the columns of
// each block of its result and the number of its rows. It is for answers of thousands of rows: [Warehouse.Each]
// takes ten times as long for a row.
func (w *Warehouse) Columns(ctx context.Context, sql string, params map[string]string, block func(rows int, columns []Column) error) error {
	const op = "warehouse: read"
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(params), clickhouse.WithSettings(maps.Clone(w.reads)))
	body, err := w.conn.QueryFormat(ctx, "Native", sql)
	if err != nil {
		return unvalued(failure(err, op))
	}
	defer body.Close() // read to its end, or given up
	in := proto.NewReader(body)
	for {
		var about proto.BlockInfo
		if err := about.Decode(in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return unvalued(failure(err, op))
		}
		rows, columns, err := readBlock(in)
		if err != nil {
			return unvalued(failure(err, op))
		}
		if rows == 0 {
			continue
		}
		if err := block(rows, columns); err != nil {
			return problem.Wrap(err, problem.Internal, op, "a row could not be read")
		}
	}
}

// readBlock reads what follows a block's head in ClickHouse's format Native, at the client's revision.
func readBlock(in *proto.Reader) (rows int, columns []Column, err error) {
	width, err := in.Int()
	if err == nil {
		rows, err = in.Int()
	}
	for range width {
		if err != nil {
			break
		}
		var c Column
		c, err = readColumn(in, rows)
		columns = append(columns, c)
	}
	return rows, columns, err
}

// Column is the values of one column in a block. Its values stay as they are when the next block is read.
type Column struct {
	name, kind string
	data       proto.Column
}

func readColumn(in *proto.Reader, rows int) (c Column, err error) {
	if c.name, err = in.Str(); err != nil {
		return c, err
	}
	if c.kind, err = in.Str(); err != nil {
		return c, err
	}
	if special, err := in.Bool(); err != nil {
		return c, err
	} else if special {
		return c, c.not("written as it can be read")
	}
	switch c.kind {
	case "LowCardinality(String)", "LowCardinality(Nullable(String))": // null is the first of its texts, which is empty
		c.data = &proto.ColLowCardinalityRaw{Index: new(proto.ColStr)}
	case "Map(Int32, Int64)":
		c.data = &proto.ColMap[int32, int64]{Keys: new(proto.ColInt32), Values: new(proto.ColInt64)}
	default:
		var known proto.ColAuto
		if err := known.Infer(proto.ColumnType(c.kind)); err != nil {
			return c, c.not("one that can be read")
		}
		c.data = known.Data
	}
	if rows == 0 {
		return c, nil
	}
	if state, ok := c.data.(proto.StateDecoder); ok {
		if err := state.DecodeState(in); err != nil {
			return c, err
		}
	}
	return c, c.data.DecodeColumn(in, rows)
}

func (c Column) not(what string) error {
	return problem.New(problem.Internal, "column %s is %s, not %s", c.name, c.kind, what)
}

// Numbers are the values of a column of whole numbers, or of days, which are counted from 1970. Values above the
// greatest int64 become negative.
func (c Column) Numbers() ([]int64, error) {
	switch data := c.data.(type) {
	case *proto.ColInt64:
		return *data, nil
	case *proto.ColUInt64:
		return counted(*data), nil
	case *proto.ColUInt16:
		return counted(*data), nil
	case *proto.ColUInt8:
		return counted(*data), nil
	case *proto.ColDate:
		return counted(*data), nil
	}
	return nil, c.not("whole numbers")
}

func counted[T ~uint8 | ~uint16 | ~uint64](data []T) []int64 {
	list := make([]int64, len(data))
	for i, n := range data {
		list[i] = int64(n)
	}
	return list
}

// Texts are the values of a column of texts; "" for null.
func (c Column) Texts() ([]string, error) {
	switch data := c.data.(type) {
	case *proto.ColStr:
		return texts(data), nil
	case *proto.ColNullable[string]:
		values, ok := data.Values.(*proto.ColStr)
		if !ok {
			break
		}
		list := texts(values)
		for i, null := range data.Nulls {
			if null != 0 {
				list[i] = ""
			}
		}
		return list, nil
	case *proto.ColLowCardinalityRaw:
		different, ok := data.Index.(*proto.ColStr)
		if !ok {
			break
		}
		switch index := texts(different); data.Key {
		case proto.KeyUInt8:
			return chosen(index, data.Keys8), nil
		case proto.KeyUInt16:
			return chosen(index, data.Keys16), nil
		case proto.KeyUInt32:
			return chosen(index, data.Keys32), nil
		}
	}
	return nil, c.not("texts")
}

// texts are parts of one string.
func texts(data *proto.ColStr) []string {
	all, list := string(data.Buf), make([]string, len(data.Pos))
	for i, at := range data.Pos {
		list[i] = all[at.Start:at.End]
	}
	return list
}

func chosen[T ~uint8 | ~uint16 | ~uint32](index []string, keys []T) []string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = index[key]
	}
	return list
}

// Histogram is how many rows are in each bucket of a distribution. The zero value has none.
type Histogram struct {
	Keys   []int32 // ascending
	Counts []int64 // as many
}

// Len, Less and Swap are for [sort.Sort].
func (h Histogram) Len() int           { return len(h.Keys) }
func (h Histogram) Less(i, j int) bool { return h.Keys[i] < h.Keys[j] }
func (h Histogram) Swap(i, j int) {
	h.Keys[i], h.Keys[j] = h.Keys[j], h.Keys[i]
	h.Counts[i], h.Counts[j] = h.Counts[j], h.Counts[i]
}

// Histograms are the values of a column of buckets, Map(Int32, Int64).
func (c Column) Histograms() ([]Histogram, error) {
	data, ok := c.data.(*proto.ColMap[int32, int64])
	if !ok {
		return nil, c.not("buckets")
	}
	keys, counts := *data.Keys.(*proto.ColInt32), *data.Values.(*proto.ColInt64)
	list, from := make([]Histogram, len(data.Offsets)), uint64(0)
	for i, to := range data.Offsets {
		list[i] = Histogram{keys[from:to], counts[from:to]}
		if !sort.IsSorted(list[i]) {
			sort.Sort(list[i])
		}
		from = to
	}
	return list, nil
}
