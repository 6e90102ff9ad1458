package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
	"ombor/internal/backup"
	"ombor/internal/objects"
	"ombor/internal/problem"
	"ombor/internal/stream"
	"ombor/warehouse/lake"
)

type backupRequest struct {
	To         string `json:"to"`
	Recipients string `json:"recipients"` // "" when the keys are kept elsewhere
}

// backedUp is what a backup is of; it stands in the manifest, and is printed.
type backedUp struct {
	ID        string            `json:"id"`
	Through   uint64            `json:"through"` // message: what is in ledger and lake
	Journal   uint64            `json:"journal"` // message: what had been accepted
	Rows      uint64            `json:"rows"`    // of the lake
	Files     int               `json:"files"`
	Copied    int               `json:"copied"` // files of the lake that no earlier backup held
	Bytes     int64             `json:"bytes"`  // written
	Keys      bool              `json:"keys"`   // they are in it, encrypted
	KeyMark   string            `json:"key_mark"`
	Warehouse string            `json:"warehouse"`
	Pack      packed            `json:"pack"`
	Streams   []stream.Snapshot `json:"streams"`
	Program   string            `json:"program"`
}

// packed says which pack the events were checked with; it is not in the backup.
type packed struct {
	Name   string `json:"name"`
	Place  string `json:"place,omitempty"`  // "" is the one in the program
	SHA256 string `json:"sha256,omitempty"` // of its files
}

const (
	rebuiltFromLake = "not in the backup: restore makes it from the lake"
	keysEntry       = "keys.age"
	folderEntries   = "data/"
	streamEntries   = "streams/"
	incomplete      = "restoring" // a file of the data folder while a restore is at work
)

func (p *program) backup(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var r backupRequest
	if err := decode(&r); err != nil {
		return nil, err
	}
	if s := p.loader.Status(); s.Role != loader.Active {
		return nil, problem.New(problem.Conflict, "this server does not load (%s): back up where the loader is at work", s.Role)
	}
	for what, place := range map[string]string{"data folder": p.config.Data, "lake": p.config.Lake} {
		if within(r.To, place) {
			return nil, problem.New(problem.BadInput, "%s lies in the %s, and would be lost with it: name another place, at best on another machine", r.To, what).In("to")
		}
	}
	store, err := objects.Open(ctx, r.To)
	if err != nil {
		return nil, err
	}
	w, err := backup.Create(ctx, store, time.Now())
	if err != nil {
		return nil, err
	}
	out := backedUp{ID: w.ID(), Warehouse: rebuiltFromLake, Program: version}
	if out.Pack, err = p.packed(); err != nil {
		return nil, err
	}
	if err := p.backUpKeys(ctx, w, r.Recipients, &out); err != nil {
		return nil, err
	}
	// What the folder says was there is in the streams that are read after it: the audit log's kept head, the
	// mark of what was acknowledged.
	if err := p.backUpFolder(ctx, w); err != nil {
		return nil, err
	}
	// The watermark: ledger, quarantine and lake at one moment between two plans. What
	// the journal has is at least that, so it can be read later.
	var files []lake.File
	var manifests []string
	var figures []lake.Figures
	err = p.loader.Quiet(ctx, func() error {
		out.Through = p.loader.Status().Loaded
		var err error
		if files, err = p.lake.Files(ctx); err != nil {
			return err
		}
		if manifests, err = p.lake.Manifests(ctx); err != nil {
			return err
		}
		if figures, err = p.lake.Figures(ctx); err != nil {
			return err
		}
		return p.backUpStreams(ctx, w, report, &out, func(name string) bool { return name != p.journal.Name() })
	})
	if err != nil {
		return nil, err
	}
	if err := p.backUpStreams(ctx, w, report, &out, func(name string) bool { return name == p.journal.Name() }); err != nil {
		return nil, err
	}
	for i, f := range files {
		report("lake", float64(i)/float64(len(files)), uint64(i))
		if f.Last > out.Through { // of a plan that a crash cut short: it is carried out again
			continue
		}
		if err := w.Copy(ctx, f.Name, f.Bytes, func(ctx context.Context) ([]byte, error) { return p.lake.Object(ctx, f) }); err != nil {
			return nil, err
		}
		out.Files++
		out.Rows += f.Rows
	}
	for _, name := range manifests {
		_, last, ok := lake.Covered(name)
		if !ok || last > out.Through {
			continue
		}
		if err := w.Copy(ctx, name, -1, func(ctx context.Context) ([]byte, error) { return p.lake.ManifestObject(ctx, name) }); err != nil {
			return nil, err
		}
	}
	for _, f := range figures { // of months without rows: the documents last, which make them what a rebuild takes
		for _, file := range f.Files {
			if err := w.Copy(ctx, file.Name, file.Bytes, func(ctx context.Context) ([]byte, error) { return p.lake.FigureObject(ctx, file) }); err != nil {
				return nil, err
			}
		}
		if err := w.Copy(ctx, f.Object(), -1, func(ctx context.Context) ([]byte, error) { return p.lake.FigureDocument(ctx, f) }); err != nil {
			return nil, err
		}
	}
	out.Copied, out.Bytes = w.Copied, w.Bytes
	return out, w.Finish(ctx, out)
}

// backUpKeys puts the keys, encrypted.
func (p *program) backUpKeys(ctx context.Context, w *backup.Writer, recipients string, out *backedUp) error {
	mark, err := os.ReadFile(filepath.Join(p.config.Data, keyMark))
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be read", p.config.Data)
	}
	if out.KeyMark = strings.TrimSpace(string(mark)); recipients == "" {
		return nil
	}
	to, err := backup.Recipients(recipients)
	if err != nil {
		return err
	}
	secret, err := os.ReadFile(p.config.keysFile())
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the keys in %s cannot be read", p.config.keysFile())
	}
	sealed, err := backup.Encrypt(secret, to)
	if err != nil {
		return err
	}
	out.Keys = true
	return w.Add(ctx, keysEntry, func(to io.Writer) error { _, err := to.Write(sealed); return err })
}

// kept are the streams beside the journal's own that a backup has from a server that others may use too: the audit
// log, API keys, people's settings, replies, and what analysts saved. An embedded server is all ours.
var kept = []string{"AUDIT", "KV_KEYS", "KV_SETTINGS", "KV_REPLIES", "KV_WORKBENCH"}

// keeps says whether a backup has the stream. Who is signed in, and who holds the lease, is of the moment.
func (p *program) keeps(name string) bool {
	own, journal := strings.TrimPrefix(name, "KV_"), p.journal.Name()
	if own == "SESSIONS" || own == journal+"_LEASE" {
		return false
	}
	return p.stream.Embedded() || own == journal || strings.HasPrefix(own, journal+"_") || slices.Contains(kept, name)
}

// backUpStreams puts snapshots of those streams of the journal's server that are ours.
func (p *program) backUpStreams(ctx context.Context, w *backup.Writer, report reporter, out *backedUp, take func(name string) bool) error {
	names, err := p.stream.Streams(ctx)
	if err != nil {
		return err
	}
	for i, name := range names {
		if !p.keeps(name) || !take(name) {
			continue
		}
		report("journal", float64(i)/float64(len(names)), uint64(i))
		if err := w.Add(ctx, streamEntries+name, func(to io.Writer) error {
			s, err := p.stream.Snapshot(ctx, name, to)
			if err == nil {
				out.Streams = append(out.Streams, *s)
				if name == p.journal.Name() {
					out.Journal = s.Last
				}
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// within says whether a place is a folder, or in it, links followed; of a place that is no folder of this machine it is not.
func within(place, folder string) bool {
	real := func(name string) string {
		if strings.Contains(name, "://") {
			return name
		}
		name, _ = filepath.Abs(name) // fails where the working directory is gone
		for rest := ""; ; {
			if found, err := filepath.EvalSymlinks(name); err == nil {
				return filepath.Join(found, rest)
			}
			if filepath.Dir(name) == name {
				return filepath.Join(name, rest)
			}
			name, rest = filepath.Dir(name), filepath.Join(filepath.Base(name), rest)
		}
	}
	inside, err := filepath.Rel(real(folder), real(place))
	return folder != "" && err == nil && filepath.IsLocal(inside)
}

// elsewhere are the parts of a data folder that are backed up otherwise, made anew, or of the moment.
var elsewhere = []string{"engine", "journal", "lake", "loader", "lock", runningFile, incomplete, "keys.json"}

// backUpFolder puts the small files of the data folder.
func (p *program) backUpFolder(ctx context.Context, w *backup.Writer) error {
	root, err := os.OpenRoot(p.config.Data)
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be read", p.config.Data)
	}
	defer root.Close()
	keys, _ := filepath.Rel(p.config.Data, p.config.keysFile()) // of another disk: it is not in the folder
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		first, _, _ := strings.Cut(name, "/")
		if err != nil {
			return err
		}
		if slices.Contains(elsewhere, first) || name == keys || strings.HasPrefix(d.Name(), ".") && name != "." {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		if err != nil {
			return problem.Wrap(err, problem.Unavailable, "", "%s in the data folder cannot be read", name)
		}
		return w.Add(ctx, folderEntries+name, func(to io.Writer) error { _, err := to.Write(data); return err })
	})
}

// packed names the pack of the running server.
func (p *program) packed() (packed, error) {
	about := packed{Name: p.pack.Name, Place: p.config.Pack}
	if p.config.Pack == "" {
		return about, nil
	}
	var err error
	if about.Place, err = filepath.Abs(p.config.Pack); err != nil {
		return about, err
	}
	hash := sha256.New()
	err = filepath.WalkDir(about.Place, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(about.Place, path)
		fmt.Fprintf(hash, "%s %d\n", filepath.ToSlash(name), len(data))
		_, _ = hash.Write(data) // a hash never fails
		return err
	})
	about.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return about, err
}

// keysFile is where the keys are.
func (cfg *config) keysFile() string {
	if cfg.Keys != "" {
		return cfg.Keys
	}
	return filepath.Join(cfg.Data, "keys.json")
}

// lakePlace is where the lake is.
func (cfg *config) lakePlace() string {
	if cfg.Lake != "" {
		return cfg.Lake
	}
	return filepath.Join(cfg.Data, "lake")
}

func newBackup() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FOLDER|s3://…",
		Short: "Copy everything that cannot be made anew, consistently, with checksums",
		Long: `Copies the journal with its ledger and quarantine, the lake, what is saved in the data
folder, and the keys, as of one moment between two plans; loading and accepting go on. Files of
the lake that an earlier backup in the same place holds are not copied again. The warehouse
and the first-seen index are not copied: restore makes them from the lake. The pack is named
with its checksum, not copied.

The keys give every pseudonym back its person and are the one secret: they go into the backup
only encrypted with age to --recipient (age-keygen makes a pair; keep the identity apart
from the backup). With --without-keys they are left out: keep keys.json yourself.

It works beside a running server, which writes the backup: a folder is one of its machine,
and the credentials of an s3:// place are those of its environment.`,
		Example: `  ombor backup /mnt/backup --recipient age1…
  ombor backup 's3://backup/ombor?endpoint=https://minio.example:9000' --recipients-file operators.txt
  ombor backup --list /mnt/backup`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, arguments []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			to := arguments[0]
			if !strings.Contains(to, "://") {
				if to, err = filepath.Abs(to); err != nil {
					return err
				}
			}
			if list, _ := c.Flags().GetBool("list"); list {
				return listBackups(c, to, format)
			}
			recipients, err := recipientsOf(c)
			if err != nil {
				return err
			}
			var done backedUp
			if err := operate(c, "backup", "files", backupRequest{To: to, Recipients: recipients}, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "backup %s, up to message %s of %s accepted\n", done.ID, grouped(int64(done.Through)), grouped(int64(done.Journal)))
			fmt.Fprintf(out, "lake   %s rows in %s files, %s objects new; %s MB written\n", grouped(int64(done.Rows)), grouped(int64(done.Files)), grouped(int64(done.Copied)), grouped(done.Bytes>>20))
			if !done.Keys {
				fmt.Fprintln(out, "keys   not in it: without keys.json nothing in the backup can be recognised again; keep a copy")
			}
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().StringArray("recipient", nil, "age recipient who may read the keys, age1…; may be given several times")
	c.Flags().String("recipients-file", "", "file of age recipients, one on a line")
	c.Flags().Bool("without-keys", false, "leave the keys out; they are kept elsewhere")
	c.Flags().Bool("list", false, "list the backups there instead of making one")
	c.Flags().String("format", "table", "table or json")
	return c
}

func recipientsOf(c *cobra.Command) (string, error) {
	list, _ := c.Flags().GetStringArray("recipient")
	file, _ := c.Flags().GetString("recipients-file")
	without, _ := c.Flags().GetBool("without-keys")
	text := strings.Join(list, "\n")
	if file != "" {
		more, err := os.ReadFile(file)
		if err != nil {
			return "", problem.Wrap(err, problem.BadInput, "", "the recipients in %s cannot be read", file)
		}
		text += "\n" + string(more)
	}
	switch given := strings.TrimSpace(text) != ""; {
	case given && without:
		return "", usage{errors.New("--without-keys and recipients exclude each other")}
	case !given && !without:
		return "", usage{errors.New("say who may read the keys with --recipient age1… ('age-keygen' makes a pair), or keep them elsewhere and say --without-keys")}
	case given:
		if _, err := backup.Recipients(text); err != nil {
			return "", err
		}
		return text, nil
	}
	return "", nil
}

func listBackups(c *cobra.Command, place, format string) error {
	store, err := objects.Open(c.Context(), place)
	if err != nil {
		return err
	}
	ids, err := backup.List(c.Context(), store)
	if err != nil {
		return err
	}
	all := []backedUp{}
	for _, id := range ids {
		b, err := backup.Open(c.Context(), store, id)
		if err != nil {
			return err
		}
		var about backedUp
		if err := json.Unmarshal(b.About, &about); err != nil {
			return problem.Wrap(err, problem.Internal, "", "the backup %s is not one of ombor", id)
		}
		all = append(all, about)
	}
	if format == "json" {
		return printJSON(c, all)
	}
	for _, b := range all {
		keys := "keys inside"
		if !b.Keys {
			keys = "without keys"
		}
		fmt.Fprintf(c.OutOrStdout(), "%s  pack %s, up to message %s, %s rows, %s\n", b.ID, b.Pack.Name, grouped(int64(b.Through)), grouped(int64(b.Rows)), keys)
	}
	return nil
}
