package dashboards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	parquetformat "github.com/parquet-go/parquet-go/format"
)

// marks are what a file says of itself where its format keeps names with values.
func (a *exportAbout) marks() [][2]string {
	return [][2]string{{"ombor.mark", internalMark}, {"ombor.by", a.who}, {"ombor.at", a.when.Format(time.RFC3339)}, {"ombor.statement", a.statement}}
}

// exportArrow copies an Arrow stream, with the mark in the metadata of its schema. rows are those of the result.
func exportArrow(w io.Writer, r io.Reader, about exportAbout) (rows uint64, err error) {
	in, err := ipc.NewReader(r)
	if err != nil {
		return 0, err
	}
	defer in.Release()
	names, values := slices.Clone(in.Schema().Metadata().Keys()), slices.Clone(in.Schema().Metadata().Values())
	for _, m := range about.marks() {
		names, values = append(names, m[0]), append(values, m[1])
	}
	metadata := arrow.NewMetadata(names, values)
	schema := arrow.NewSchema(in.Schema().Fields(), &metadata)
	out := ipc.NewWriter(w, ipc.WithSchema(schema), ipc.WithLZ4()) // as the engine compresses it
	for in.Next() {
		batch := array.NewRecord(schema, in.Record().Columns(), in.Record().NumRows())
		err := out.Write(batch)
		batch.Release()
		if err != nil {
			return rows, err
		}
		rows += uint64(batch.NumRows())
	}
	if err := in.Err(); err != nil {
		return rows, err // without the end of a stream
	}
	return rows, out.Close()
}

// A Parquet file ends with its footer, the footer's length and four letters (parquet.apache.org, "File Format").
const (
	parquetMagic = "PAR1"
	parquetEnd   = 4 + len(parquetMagic)
	footerMost   = 8 << 20 // bytes of a footer that are held back
)

var errFooter = errors.New("api: the engine's Parquet file has no footer that can be read")

// exportParquet copies a Parquet file, with the mark among the values of its footer. rows are those of the result.
func exportParquet(w io.Writer, r io.Reader, about exportAbout) (rows uint64, err error) {
	var held []byte
	piece := make([]byte, 256<<10)
	for err == nil {
		var n int
		n, err = r.Read(piece)
		held = append(held, piece[:n]...)
		if more := len(held) - footerMost - parquetEnd; more > footerMost || more > 0 && err == io.EOF {
			if _, err := w.Write(held[:more]); err != nil {
				return 0, err
			}
			held = append(held[:0], held[more:]...)
		}
	}
	if err != io.EOF {
		return 0, err
	}
	end := len(held) - parquetEnd
	if end < 0 || !bytes.HasSuffix(held, []byte(parquetMagic)) {
		return 0, errFooter
	}
	size := int(binary.LittleEndian.Uint32(held[end:]))
	if size > end {
		return 0, errFooter
	}
	var footer parquetformat.FileMetaData
	protocol := &thrift.CompactProtocol{}
	if err := thrift.Unmarshal(protocol, held[end-size:end], &footer); err != nil {
		return 0, errors.Join(errFooter, err)
	}
	for _, m := range about.marks() {
		footer.KeyValueMetadata = append(footer.KeyValueMetadata, parquetformat.KeyValue{Key: m[0], Value: m[1]})
	}
	marked, err := thrift.Marshal(protocol, &footer)
	if err != nil {
		return 0, err
	}
	last := append(held[:end-size:end-size], marked...)
	last = append(binary.LittleEndian.AppendUint32(last, uint32(len(marked))), parquetMagic...)
	_, err = w.Write(last)
	return uint64(footer.NumRows), err
}
