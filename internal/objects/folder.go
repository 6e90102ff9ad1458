package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ombor/internal/problem"
)

// partial marks files that are being written. What a crash leaves of them is
// removed when the folder is opened: a store has one writing process.
const partial = ".partial-"

// folder keeps objects as files below a directory.
type folder struct{ dir string }

func openFolder(dir string) (Store, error) {
	if dir == "" {
		return nil, problem.New(problem.BadInput, "give the lake a folder or an s3:// address").In("lake")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), partial) {
				err = os.Remove(path)
			}
			return err
		})
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "objects: open", "the folder %s cannot be used for objects", dir)
	}
	return &folder{dir}, nil
}

func (f *folder) String() string { return f.dir }

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// fault gives an error of the file system its kind. NotFound is for reads.
func (f *folder) fault(op, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return problem.Wrap(err, problem.NotFound, "objects: "+op, "there is no %s", name)
	}
	return away(op, err, "%s: the folder %s cannot be used now", name, f.dir)
}

// Put writes a temporary file, syncs it, links it to its name, which fails when
// the name is taken, and syncs the directory.
func (f *folder) Put(ctx context.Context, name string, data []byte) error {
	if err := check(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	path := f.path(name)
	dir := filepath.Dir(path)
	if err := f.makeDir(dir); err != nil {
		return away("put", err, "%s: the folder %s cannot be written", name, f.dir)
	}
	tmp, err := os.CreateTemp(dir, partial)
	if err != nil {
		return away("put", err, "%s: the folder %s cannot be written", name, f.dir)
	}
	defer os.Remove(tmp.Name()) // the name that remains is the object's
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		old, err := os.ReadFile(path)
		if err != nil {
			return f.fault("put", name, err)
		}
		if !bytes.Equal(old, data) {
			return conflict(name)
		}
		// Another writer's link may not be synced yet: sync before saying so.
		return f.syncDir(name, dir)
	}
	if err != nil {
		return away("put", err, "%s: the folder %s cannot be written", name, f.dir)
	}
	return f.syncDir(name, dir)
}

func (f *folder) syncDir(name, dir string) error {
	if err := syncDir(dir); err != nil {
		return away("put", err, "%s: the folder %s cannot be synced", name, f.dir)
	}
	return nil
}

// makeDir makes a directory below f.dir and syncs the parents that got a new entry.
func (f *folder) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if len(dir) > len(f.dir) {
		if err := f.makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f *folder) Get(ctx context.Context, name string) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(f.path(name))
	return data, f.fault("get", name, err)
}

func (f *folder) Range(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, f.fault("range", name, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, offset, length))
	return data, f.fault("range", name, err)
}

func (f *folder) Stat(ctx context.Context, name string) (Info, error) {
	if err := check(name); err != nil {
		return Info{}, err
	}
	st, err := os.Stat(f.path(name))
	if err == nil && st.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Info{}, f.fault("stat", name, err)
	}
	return Info{Name: name, Size: st.Size()}, nil
}

func (f *folder) List(ctx context.Context, prefix string, fn func(Info) error) error {
	// Only the directory that holds the prefix is walked.
	root := f.path(prefix[:strings.LastIndexByte(prefix, '/')+1])
	var found []Info // sorted below: a walk orders "a/b" before "a-b", names do not
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), partial) {
			return err
		}
		rel, err := filepath.Rel(f.dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !strings.HasPrefix(name, prefix) || check(name) != nil {
			return nil
		}
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			found = append(found, Info{Name: name, Size: st.Size()})
		}
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f.fault("list", prefix, err)
	}
	return each(found, fn)
}

func (f *folder) Delete(ctx context.Context, name string) error {
	if err := check(name); err != nil {
		return err
	}
	err := os.Remove(f.path(name))
	if err == nil {
		err = syncDir(filepath.Dir(f.path(name)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.fault("delete", name, err)
}
