package pack

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ombor/internal/problem"
)

// load reads a folder of the file system into memory.
func load(t *testing.T, dir string, into fstest.MapFS) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		into[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func whole(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	load(t, "testdata/whole", files)
	return files
}

func TestWhole(t *testing.T) {
	if _, err := Read(whole(t), Checks{}); err != nil {
		t.Fatal(err)
	}
}

// TestBad reads testdata/whole with the files of one folder of testdata/bad laid over
// it: each breaks one rule, and its file "message" is exactly what is said.
func TestBad(t *testing.T) {
	dirs, err := filepath.Glob("testdata/bad/*")
	if err != nil || len(dirs) < 100 {
		t.Fatalf("%d bad packs found, error %v; there is one for each rule", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files := whole(t)
			load(t, dir, files)
			delete(files, "message")
			_, err := Read(files, Checks{})
			if err == nil {
				t.Fatal("was read without an error")
			}
			golden := filepath.Join(dir, "message")
			got := err.Error() + "\n"
			if *record {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; record it with: go test ./internal/pack -record", err)
			}
			if got != string(want) {
				t.Errorf("said\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	for reason, test := range map[string]struct {
		change func(fstest.MapFS)
		want   string
	}{
		"no pack.yaml": {func(f fstest.MapFS) { delete(f, "pack.yaml") },
			"pack.yaml: is missing: a pack is a folder with a pack.yaml"},
		"link": {func(f fstest.MapFS) {
			f["kpis/passwd.yaml"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink}
		},
			"kpis/passwd.yaml: is a link or a device; a pack has plain files only"},
		"YAML too large": {func(f fstest.MapFS) {
			f["kpis/web-share.yaml"] = &fstest.MapFile{Data: []byte(strings.Repeat("#\n", maxYAML/2+1))}
		},
			"kpis/web-share.yaml: is larger than 1 MB"},
		"CSV too large": {func(f fstest.MapFS) {
			f["reference/holidays.csv"] = &fstest.MapFile{Data: make([]byte, maxCSV+1)}
		},
			"reference/holidays.csv: is larger than 64 MB"},
		"very many": {func(f fstest.MapFS) {
			f["reference/holidays.csv"] = &fstest.MapFile{Data: []byte("date\n" + strings.Repeat("never\n", 1000))}
		},
			"reference/holidays.csv:51: date: \"never\" is not a date; write YYYY-MM-DD\nreference/holidays.csv:51: and 950 problems more in this file"},
		"no pack at all": {func(f fstest.MapFS) {
			clear(f)
			f["passwd"], f["fonts/a.conf"] = &fstest.MapFile{}, &fstest.MapFile{}
		},
			"1 problem:\npack.yaml: is missing"},
		"file outside": {func(f fstest.MapFS) {
			text := strings.Replace(string(f["pack.yaml"].Data), "file: services.csv", "file: ../pack.csv", 1)
			f["pack.yaml"] = &fstest.MapFile{Data: []byte(text)}
		},
			`pack.yaml:12: reference.services.file: "../pack.csv" is not a CSV file in reference/, as in services.csv`},
		"deep": {func(f fstest.MapFS) {
			f["kpis/web-share.yaml"] = &fstest.MapFile{Data: []byte(strings.Repeat("[", 20_000))}
		},
			"kpis/web-share.yaml: is not YAML: "},
	} {
		t.Run(reason, func(t *testing.T) {
			files := whole(t)
			test.change(files)
			_, err := Read(files, Checks{})
			if err == nil {
				t.Fatal("was read without an error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("said\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// FuzzRead puts anything in the place of one file of a whole pack: it is read, or
// refused as bad input, and nothing else happens.
func FuzzRead(f *testing.F) {
	names := []string{"pack.yaml", "contracts/request.yaml", "kpis/web-share.yaml", "mappings/desk.yaml", "targets.yaml",
		"labels/en.yaml", "reference/services.csv", "reference/holidays.csv", "reference/quarters.csv"}
	base := fstest.MapFS{}
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata/whole", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, data)
	}
	for i, text := range []string{"{}", "[]", "a", "- {}", "versions: [{}]", "fields: {a: }", "seed: [{}]", "--- !!binary a", "? [a]\n: b", "a: &a [*a]"} {
		f.Add(i, []byte(text))
	}
	for _, name := range []string{"pack.yaml", "contracts/request.yaml", "contracts/service.yaml", "contracts/figure.yaml", "kpis/web-share.yaml",
		"kpis/services.yaml", "mappings/desk.yaml", "targets.yaml", "labels/en.yaml", "labels/uz.yaml",
		"reference/organisations.csv", "reference/services.csv", "reference/holidays.csv", "reference/quarters.csv"} {
		data, err := os.ReadFile(filepath.Join("testdata/whole", name))
		if err != nil {
			f.Fatal(err)
		}
		base[name] = &fstest.MapFile{Data: data}
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		files := maps.Clone(base)
		files[names[uint(which)%uint(len(names))]] = &fstest.MapFile{Data: data}
		p, err := Read(files, Checks{})
		if err == nil {
			for range p.Seeds() {
			}
			return
		}
		if problem.KindOf(err) != problem.BadInput || len(problem.IssuesOf(err)) == 0 {
			t.Fatalf("said %v", err)
		}
	})
}
