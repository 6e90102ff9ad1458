package dashboards

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go"

	"ombor/internal/reference"
	"ombor/queries"
)

// TestTypes holds the types of columns and what their cells tell, in Arrow and in Parquet.
func TestTypes(t *testing.T) {
	const most = "-12345678901234567890123456789012345.678" // 38 digits
	table := newTable(text("z"), date("from"), date("closed"), count("cases"), exact("numerator"), exact("denominator"), exact("wide"), number("value"), flag("open"))
	table.add("b", "2024-02-29", "", float64(7), queries.Number("103862.40"), queries.Number("9007199254740993"), queries.Number("1e+300"), 0.5, true)
	table.add("a", "1969-12-31", "2024-04-06", int64(9007199254740993), queries.Number(most), decimal(""), queries.Number("2"), nil, false)
	wantTypes := []string{"utf8", "date32", "date32", "int64", "decimal(38, 3)", "decimal(38, 0)", "float64", "float64", "bool"}
	wantRows := []string{
		"b 2024-02-29 (null) 7 103862400 9007199254740993 1e+300 0.5 true",
		"a 1969-12-31 2024-04-06 9007199254740993 " + strings.Replace(most, ".", "", 1) + " (null) 2 (null) false",
	}

	var b bytes.Buffer
	if err := encodeArrow(&b, table); err != nil {
		t.Fatal(err)
	}
	stream, err := ipc.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Release()
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	record := stream.Record()
	var types []string
	rows := make([]string, record.NumRows())
	for i, column := range record.Columns() {
		types = append(types, column.DataType().String())
		for at := range rows {
			if i > 0 {
				rows[at] += " "
			}
			if exact, ok := column.(*array.Decimal128); ok && exact.IsValid(at) { // ValueStr goes by a float
				rows[at] += exact.Value(at).BigInt().String()
				continue
			}
			rows[at] += column.ValueStr(at)
		}
	}
	if !slices.Equal(types, wantTypes) || !slices.Equal(rows, wantRows) {
		t.Errorf("Arrow: %q\n%q, want %q\n%q", types, rows, wantTypes, wantRows)
	}

	b.Reset()
	if err := encodeParquet(&b, table); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	types = nil
	for _, column := range file.Root().Columns() {
		types = append(types, fmt.Sprint(column.Name(), " ", column.Type()))
	}
	wantTypes = []string{"z STRING", "from DATE", "closed DATE", "cases INT(64,true)", "numerator DECIMAL(38,3)", "denominator DECIMAL(38,0)", "wide DOUBLE", "value DOUBLE", "open BOOLEAN"}
	if !slices.Equal(types, wantTypes) {
		t.Errorf("Parquet: %q, want %q", types, wantTypes)
	}
	read := make([]parquet.Row, 2)
	reader := parquet.NewReader(file)
	defer reader.Close()
	if n, err := reader.ReadRows(read); n != 2 || err != nil && err != io.EOF {
		t.Fatal(n, err)
	}
	if from, cases := reference.Day(read[1][1].Int32()), read[1][3].Int64(); from.String() != "1969-12-31" || cases != 9007199254740993 || !read[0][2].IsNull() || !read[1][5].IsNull() {
		t.Errorf("Parquet: %v", read)
	}
	// 103862.400 and 9007199254740993, the highest byte first.
	if sum, one := fmt.Sprintf("%x", read[0][4].ByteArray()), fmt.Sprintf("%x", read[0][5].ByteArray()); sum != fmt.Sprintf("%032x", 103862400) || one != fmt.Sprintf("%032x", 9007199254740993) {
		t.Errorf("Parquet: %s, %s", sum, one)
	}
	if negative := read[1][4].ByteArray(); len(negative) != 16 || negative[0] != 0xf6 {
		t.Errorf("Parquet: %x", negative)
	}

	b.Reset()
	if err := encodeCSV(&b, table); err != nil {
		t.Fatal(err)
	}
	if want := "z,from,closed,cases,numerator,denominator,wide,value,open\n" +
		"b,2024-02-29,,7,103862.40,9007199254740993,1e+300,0.5,true\n" +
		"a,1969-12-31,2024-04-06,9007199254740993," + most + ",,2,,false\n"; b.String() != want {
		t.Errorf("CSV: %q, want %q", &b, want)
	}

	table.add("c", "yesterday", "", 1.5, nil, nil, nil, nil, nil)
	if err := encodeParquet(io.Discard, table); err == nil {
		t.Error("a day that is none is written")
	}
}
