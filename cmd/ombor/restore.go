package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
	"ombor/internal/backup"
	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/problem"
	"ombor/internal/stream"
	"ombor/warehouse"
)

func newRestore() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FOLDER|s3://…",
		Short: "Make a data folder from a backup, and prove that it is whole",
		Long: `Reads a backup that 'ombor backup' made, the newest unless --backup names another, into
the folder --data, which must be empty, and into the parts elsewhere that --lake and
--journal name, which must be empty, too. Every byte is held against its checksum; what is
damaged is named, and nothing stays of the attempt. Then the first-seen index and the warehouse are
made from the lake, and 'ombor verify' runs at the end.

The keys are read with --identity, the file that age-keygen wrote; when the backup was made
without them, --keys names the file that you kept. A file that --keys names is used also when the
backup has keys: after a rotation of the pseudonym keys that is the newest, and what is restored
of an older backup is rewritten with it. The pack must be the one that the backup names.

Exit codes: 0 restored and everything agrees, 1 failed or differs, 2 usage.`,
		Example: `  ombor restore /mnt/backup --data ./data --identity operator.key
  ombor restore 's3://backup/ombor?endpoint=…' --data ./data --identity operator.key --pack ./boston`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, arguments []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			id, _ := c.Flags().GetString("backup")
			identity, _ := c.Flags().GetString("identity")
			cfg, err := readConfig(c)
			if err != nil {
				return err
			}
			cfg.Listen, cfg.unseeded = "127.0.0.1:0", true
			store, err := objects.Open(c.Context(), arguments[0])
			if err != nil {
				return err
			}
			b, err := backup.Open(c.Context(), store, id)
			if err != nil {
				return err
			}
			r := &restoration{cfg: cfg, backup: b, identity: identity, out: c.ErrOrStderr()}
			if err := r.run(c.Context()); err != nil {
				return err
			}
			return r.prove(c, format)
		},
	}
	serveFlags(c)
	_ = c.Flags().MarkHidden("listen") // it exists: serveFlags made it
	c.Flags().String("backup", "", "which one; by default the newest ('ombor backup --list' has them)")
	c.Flags().String("identity", "", "file of the age identity that the keys were encrypted to")
	c.Flags().String("format", "table", "table or json")
	return c
}

// restoration is one restore.
type restoration struct {
	cfg      config
	backup   *backup.Backup
	about    backedUp
	identity string
	out      io.Writer
	undo     []func() // takes back what was made
}

// run makes the data folder; nothing stays when it fails.
func (r *restoration) run(ctx context.Context) (err error) {
	if err := json.Unmarshal(r.backup.About, &r.about); err != nil {
		return problem.Wrap(err, problem.Internal, "", "the backup %s is not one of ombor", r.backup.ID)
	}
	keys, err := r.keys(ctx)
	if err != nil {
		return err
	}
	if err := r.emptyFolder(); err != nil {
		return err
	}
	if err := r.emptyWarehouse(ctx); err != nil {
		return err
	}
	lock, err := stream.Lock(r.cfg.Data)
	if err != nil {
		return err
	}
	defer lock.Release()
	defer func() {
		if err != nil {
			for i := len(r.undo) - 1; i >= 0; i-- {
				r.undo[i]()
			}
		}
	}()
	r.undo = append(r.undo, func() { emptied(r.cfg.Data) })
	marker := filepath.Join(r.cfg.Data, incomplete)
	if err := os.WriteFile(marker, []byte(r.backup.ID+"\n"), 0o600); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the folder %s cannot be written", r.cfg.Data)
	}
	if err := r.folder(ctx, keys); err != nil {
		return err
	}
	if err := r.lake(ctx); err != nil {
		return err
	}
	if err := r.streams(ctx); err != nil {
		return err
	}
	if err := syncTree(r.cfg.Data); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the folder %s cannot be synced", r.cfg.Data)
	}
	return os.Remove(marker)
}

// keys are those of the backup, or nil when they are kept elsewhere.
func (r *restoration) keys(ctx context.Context) ([]byte, error) {
	entry, inside := r.backup.Entry(keysEntry)
	if r.cfg.Keys != "" {
		if _, err := os.Stat(r.cfg.Keys); err == nil {
			kept, err := contract.OpenKeys(r.cfg.Keys)
			if err != nil {
				return nil, err
			}
			if markOf(kept) != r.about.KeyMark {
				return nil, problem.New(problem.Conflict, "the keys in %s are not those that the backup %s was made with", r.cfg.Keys, r.backup.ID)
			}
			return nil, nil
		}
	}
	if !inside {
		return nil, problem.New(problem.BadInput, "the backup %s is without keys: name the file that was kept with --keys", r.backup.ID)
	}
	if r.identity == "" {
		return nil, usage{errors.New("the keys of the backup are encrypted: name the file of the identity with --identity")}
	}
	var sealed strings.Builder
	if err := r.backup.Read(ctx, entry, &sealed); err != nil {
		return nil, err
	}
	return backup.Decrypt([]byte(sealed.String()), r.identity)
}

func (r *restoration) emptyFolder() error {
	if err := os.MkdirAll(r.cfg.Data, 0o700); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the folder %s cannot be made", r.cfg.Data)
	}
	names, err := os.ReadDir(r.cfg.Data)
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the folder %s cannot be read", r.cfg.Data)
	}
	for _, n := range names {
		if n.Name() == incomplete { // of a restore that was killed
			emptied(r.cfg.Data)
			return nil
		}
	}
	if len(names) > 0 {
		return problem.New(problem.Conflict, "%s is not empty: a backup is restored into an empty folder only", r.cfg.Data)
	}
	return nil
}

// emptyWarehouse refuses a warehouse elsewhere that has facts.
func (r *restoration) emptyWarehouse(ctx context.Context) error {
	if r.cfg.Warehouse == "" {
		return nil
	}
	w, err := warehouse.Open(ctx, warehouse.Config{URL: r.cfg.Warehouse}, noContracts{}, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	s, err := w.Status(ctx)
	if err == nil && s.Rows > 0 {
		return problem.New(problem.Conflict, "the warehouse is not empty: it has %d rows of facts", s.Rows)
	}
	return err
}

// emptied removes what is in a folder but its lock, which is held, and last what marks it.
func emptied(dir string) {
	names, _ := os.ReadDir(dir) // what cannot be removed stays, marked as incomplete
	clean := true
	for _, n := range names {
		if n.Name() != "lock" && n.Name() != incomplete {
			clean = os.RemoveAll(filepath.Join(dir, n.Name())) == nil && clean
		}
	}
	if clean {
		_ = os.Remove(filepath.Join(dir, incomplete))
		_ = os.Remove(filepath.Join(dir, "lock"))
	}
}

// folder writes the small files and the keys.
func (r *restoration) folder(ctx context.Context, keys []byte) error {
	root, err := os.OpenRoot(r.cfg.Data)
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the folder %s cannot be read", r.cfg.Data)
	}
	defer root.Close()
	for _, e := range r.backup.State {
		name, ok := strings.CutPrefix(e.Name, folderEntries)
		if !ok {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return problem.Wrap(err, problem.Unavailable, "", "%s cannot be written", name)
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return problem.Wrap(err, problem.Unavailable, "", "%s cannot be written", name)
		}
		if err := errors.Join(r.backup.Read(ctx, e, f), f.Close()); err != nil {
			return err
		}
	}
	if keys == nil {
		return nil
	}
	f, err := os.OpenFile(r.cfg.keysFile(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return problem.Wrap(err, problem.Conflict, "", "the keys cannot be written to %s", r.cfg.keysFile())
	}
	r.undo = append(r.undo, func() { _ = os.Remove(r.cfg.keysFile()) })
	_, err = f.Write(keys)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the keys cannot be written to %s", r.cfg.keysFile())
	}
	return nil
}

// lake puts its files, the manifests last, which make them the lake's.
func (r *restoration) lake(ctx context.Context) error {
	to, err := objects.Open(ctx, r.cfg.lakePlace())
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, o := range r.backup.Lake {
		ours[o.Immutable()] = true
	}
	if err := to.List(ctx, "", func(o objects.Info) error { // a restore that was killed may have begun
		if !ours[o.Name] {
			return problem.New(problem.Conflict, "the lake %s is not empty: it has %s", to, o.Name)
		}
		return nil
	}); err != nil {
		return err
	}
	bar := newProgress(r.out, "lake", "files")
	defer bar.end()
	for i, o := range r.backup.Lake {
		bar.set(float64(i)/float64(len(r.backup.Lake)), int64(i))
		data, err := r.backup.Get(ctx, o)
		if err != nil {
			return err
		}
		if err := to.Put(ctx, o.Immutable(), data); err != nil {
			return err
		}
		r.undo = append(r.undo, func() { _ = to.Delete(context.WithoutCancel(ctx), o.Immutable()) })
	}
	bar.set(1, int64(len(r.backup.Lake)))
	return nil
}

// streams restores the journal with its ledger and quarantine.
func (r *restoration) streams(ctx context.Context) (err error) {
	conn, err := stream.Open(ctx, stream.Options{URL: r.cfg.Journal, Dir: filepath.Join(r.cfg.Data, "journal")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, s := range r.about.Streams {
		e, ok := r.backup.Entry(streamEntries + s.Name)
		if !ok {
			return problem.New(problem.Internal, "the backup %s has no data of the stream %s", r.backup.ID, s.Name)
		}
		from, to := io.Pipe()
		go func() { _ = to.CloseWithError(r.backup.Read(ctx, e, to)) }() // never fails
		err := conn.Restore(ctx, &s, from)
		_ = from.CloseWithError(errors.New("the stream was not restored")) // never fails; ends the reading
		if err != nil {
			return err
		}
	}
	return nil
}

// syncTree makes every file and folder durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// prove starts the parts, which makes index and warehouse from the lake, and verifies.
func (r *restoration) prove(c *cobra.Command, format string) (err error) {
	p, err := openProgram(c.Context(), r.cfg, io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	bar := newProgress(c.ErrOrStderr(), "verify", "rows")
	if err := p.settled(c.Context()); err != nil {
		return err
	}
	if s := p.loader.Status(); s.Role == loader.Stopped {
		return problem.New(problem.Internal, "the loader does not start on what was restored: %s", s.Trouble)
	}
	found, err := p.loader.Verify(c.Context(), loader.Verification{Progress: func(_ string, done float64, rows uint64) { bar.set(done, int64(rows)) }})
	if err != nil {
		return err
	}
	bar.end()
	if format == "json" {
		if err := printJSON(c, map[string]any{"backup": r.about, "verify": found}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.OutOrStdout(), "restored        backup %s into %s\n", r.backup.ID, r.cfg.Data)
		printVerified(c, found, false)
	}
	if n := len(found.Differences); n > 0 {
		return problem.New(problem.Internal, "the restored parts differ in %d ranges", n)
	}
	return nil
}
