package columnar_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go"

	"ombor/ingest/columnar"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// bounds are a door's, made small: nothing that is fuzzed may take more.
const (
	boundRows = 1000
	boundText = 1 << 20
)

// readWhole reads what may be anything. Whatever it is, it ends, as JSON within the
// bounds, and what is wrong with it is the sender's fault.
func readWhole(t *testing.T, set *contract.Set, open func(columnar.Options) (*columnar.Rows, error)) {
	var charged int64
	rows, err := open(columnar.Options{Set: set, Type: "test.every.v1", Source: "s", Rows: boundRows, Event: 4096, Text: boundText, Unpacked: boundText, Page: boundText,
		Charge: func(n int64) error {
			if charged += n; n < 0 || charged > 64*boundText {
				t.Fatalf("%d bytes were taken", charged)
			}
			return nil
		}})
	text := 0
	for err == nil {
		var event []byte
		if event, err = rows.Next(); errors.Is(err, columnar.ErrLong) {
			err = nil
			continue
		}
		if err == nil {
			// Texts may be no UTF-8: the checker sees to that.
			if text += len(event); !json.Valid(event) || len(event) > 4096 || text > boundText || rows.Count() > boundRows {
				t.Fatalf("row %d: %q", rows.Count(), event)
			}
		}
	}
	switch kind := problem.KindOf(err); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), kind == problem.BadInput, kind == problem.TooLarge:
	default:
		t.Fatalf("%v is of kind %v", err, kind)
	}
}

func FuzzArrow(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("ARROW1\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00"))
	for _, inData := range []bool{false, true} {
		f.Add(arrowEvery(f, inData, 1))
		f.Add(arrowEvery(f, inData, 3, ipc.WithDictionaryDeltas(true)))
		f.Add(arrowEvery(f, inData, 1, ipc.WithZstd()))
		f.Add(arrowEvery(f, inData, 3, ipc.WithLZ4()))
	}
	set := contracts(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		readWhole(t, set, func(o columnar.Options) (*columnar.Rows, error) { return columnar.Arrow(bytes.NewReader(b), o) })
	})
}

func FuzzParquet(f *testing.F) {
	f.Add([]byte("PAR1\x00\x00\x00\x00PAR1"))
	for _, version := range []int{1, 2} {
		f.Add(parquetFile(f, parquetEvery(), 1, parquet.DataPageVersion(version), parquet.Compression(&parquet.Uncompressed)))
		f.Add(parquetFile(f, parquetEvery(), 3, parquet.DataPageVersion(version), parquet.Compression(&parquet.Snappy)))
		f.Add(parquetFile(f, parquetEvery(), 1, parquet.DataPageVersion(version), parquet.Compression(&parquet.Zstd)))
		f.Add(parquetFile(f, []parquetNested{{ID: "a", Data: &parquetFields{Text: at("x")}}, {ID: "b"}}, 1, parquet.DataPageVersion(version)))
		type encoded struct {
			ID    string `parquet:"id,delta"`
			Time  string `parquet:"time,dict"`
			Text  string `parquet:"text,optional,delta"`
			Whole int64  `parquet:"whole,delta"`
			Money int32  `parquet:"money,split"`
			Yes   bool   `parquet:"yes"`
		}
		f.Add(parquetFile(f, []encoded{{"a", "2024", "x", 1, 2, true}, {"ab", "2024", "", -9, 3, false}}, 1, parquet.DataPageVersion(version)))
	}
	set := contracts(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		readWhole(t, set, func(o columnar.Options) (*columnar.Rows, error) {
			return columnar.Parquet(bytes.NewReader(b), int64(len(b)), o)
		})
	})
}
