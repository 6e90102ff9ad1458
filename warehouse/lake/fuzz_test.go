package lake_test

import (
	"bytes"
	"path"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"ombor/internal/objects"
	"ombor/warehouse/lake"
)

// FuzzManifest: whatever a manifest holds, it is read or named as damaged; a file that it
// lists is one inside the store, and reading what is not there is an error.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"t/2024-05-01/00000000000000000001-00000000000000000002.parquet","table":"t","contract":"test.t.v1","cut":"2024-05-01","first":1,"last":2,"rows":3,"facts":3,"bytes":10,"checksum":"00","schema":"00"}` + "\n"))
	f.Add([]byte(`{"name":"../../x.parquet","first":1,"last":1}`))
	f.Add([]byte(`{"name":"a.parquet","first":1,"last":2,"min_day":"x"}` + "\n{"))
	f.Add([]byte("null\n[]"))
	f.Add([]byte{})
	everything := everything(f)
	f.Fuzz(func(t *testing.T, manifest []byte) {
		store, err := objects.Open(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), "_manifest/00000000000000000001-00000000000000000002.jsonl", bytes.Clone(manifest)); err != nil {
			t.Fatal(err)
		}
		l := lake.Open(store)
		files, err := l.Files(t.Context())
		if err != nil {
			return
		}
		for _, file := range files {
			if path.Ext(file.Name) != ".parquet" || file.First == 0 || file.Last < file.First {
				t.Fatalf("%+v is taken for a file", file)
			}
			if err := l.Read(t.Context(), file, everything, func(arrow.Record) error { return nil }); err == nil {
				t.Fatalf("%q, which is not there, can be read", file.Name)
			}
		}
	})
}
