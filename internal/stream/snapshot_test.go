package stream_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

// TestSnapshot makes a stream and a bucket anew on another server, gaps and sequences included.
func TestSnapshot(t *testing.T) {
	from, to := open(t, t.TempDir()), open(t, t.TempDir())
	config := stream.Config{Name: "J", MaxBytes: 1 << 30}
	s, err := from.Stream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	content := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("message %d;", i)), 1000) }
	for i := 1; i <= 300; i++ {
		if _, err := s.Publish(t.Context(), "", content(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Purge(t.Context(), 101); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), 150); err != nil {
		t.Fatal(err)
	}
	bucket, err := from.Bucket(t.Context(), "state", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "key", []byte("value")); err != nil {
		t.Fatal(err)
	}
	names, err := from.Streams(t.Context())
	if err != nil || !slices.Equal(names, []string{"J", "KV_state"}) {
		t.Fatal(names, err)
	}
	for _, name := range names {
		var data bytes.Buffer
		snapshot, err := from.Snapshot(t.Context(), name, &data)
		if err != nil {
			t.Fatal(err)
		}
		if name == "J" && (snapshot.Messages != 199 || snapshot.Last != 300) {
			t.Errorf("%+v", snapshot)
		}
		// What was cut or changed is refused, and leaves nothing behind.
		bad := bytes.Clone(data.Bytes())
		bad[len(bad)/2] ^= 1
		for what, b := range map[string][]byte{"cut": data.Bytes()[:data.Len()/2], "changed": bad} {
			if err := to.Restore(t.Context(), snapshot, bytes.NewReader(b)); err == nil {
				t.Fatalf("%s of %s was restored", what, name)
			}
		}
		if err := to.Restore(t.Context(), snapshot, &data); err != nil {
			t.Fatal(err)
		}
		kind(t, to.Restore(t.Context(), snapshot, bytes.NewReader(nil)), problem.Conflict)
	}
	restored, err := to.Stream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(101); seq <= 300; seq++ {
		m, err := restored.Get(t.Context(), seq)
		if seq == 150 {
			kind(t, err, problem.NotFound)
		} else if err != nil || !bytes.Equal(m.Data, content(int(seq))) {
			t.Fatal(seq, err)
		}
	}
	if seq, err := restored.Publish(t.Context(), "", []byte("next")); err != nil || seq != 301 {
		t.Fatal(seq, err)
	}
	if bucket, err = to.Bucket(t.Context(), "state", ""); err != nil {
		t.Fatal(err)
	}
	if value, revision, err := bucket.Get(t.Context(), "key"); err != nil || string(value) != "value" || revision != 1 {
		t.Fatal(string(value), revision, err)
	}
	_, err = from.Snapshot(t.Context(), "NONE", &bytes.Buffer{})
	kind(t, err, problem.NotFound)
}
