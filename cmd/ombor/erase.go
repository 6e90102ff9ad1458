package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ombor/ingest/loader"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// erasingFile, in the data folder, is there while an erasure is at work: an interrupted one has to
// go on with the same replacement. It holds pseudonyms only, and goes with the end.
const erasingFile = "erasing.json"

// erasing is its content.
type erasing struct {
	Kind        string `json:"kind"`
	Old         []byte `json:"old"`         // pseudonyms
	Replacement []byte `json:"replacement"` // random
	Pseudonyms  int    `json:"pseudonyms"`  // version of the keys that both are of: a rotation may come between
}

// eraseRequest travels over the loopback interface, or within the process, and is not kept.
type eraseRequest struct {
	Kind       string `json:"kind"`
	Identifier string `json:"identifier"` // "": what was interrupted is ended
}

func (p *program) erase(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var r eraseRequest
	if err := decode(&r); err != nil {
		return nil, errors.New("the request cannot be read") // without what was in it
	}
	pending, err := readErasing(p.config.Data)
	if err != nil {
		return nil, err
	}
	var sum loader.Erased
	if pending != nil {
		if err := p.eraseOne(ctx, *pending, report, &sum); err != nil {
			return nil, err
		}
	}
	if r.Identifier == "" {
		if pending == nil {
			return nil, problem.New(problem.NotFound, "no erasure was interrupted")
		}
		return sum, nil
	}
	if !slices.ContainsFunc(p.pack.Set.All(), func(c *contract.Contract) bool {
		return slices.ContainsFunc(c.Fields, func(f contract.Field) bool { return f.Type == contract.Person && f.ID == r.Kind })
	}) {
		return nil, problem.New(problem.BadInput, "no contract of the pack has identifiers of the kind %q", r.Kind).In("kind")
	}
	old, err := p.keys.Pseudonym(r.Kind, r.Identifier)
	if err != nil {
		return nil, err
	}
	one := erasing{Kind: r.Kind, Old: old[:], Replacement: make([]byte, len(old)), Pseudonyms: p.keys.PseudonymVersion()}
	_, _ = rand.Read(one.Replacement) // never fails
	if err := one.write(p.config.Data); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "erase", "the data folder %s cannot be written", p.config.Data)
	}
	return sum, p.eraseOne(ctx, one, report, &sum)
}

// eraseOne carries an erasure out to its end, and adds what it did.
func (p *program) eraseOne(ctx context.Context, e erasing, report reporter, sum *loader.Erased) error {
	slog.Warn("audit: erase: begun", "kind", e.Kind) // a warning is always logged
	now := p.keys.PseudonymVersion()
	old, err := p.keys.Advance(e.Kind, [16]byte(e.Old), e.Pseudonyms, now)
	if err != nil {
		return err
	}
	replacement, err := p.keys.Advance(e.Kind, [16]byte(e.Replacement), e.Pseudonyms, now)
	if err != nil {
		return err
	}
	done, err := p.loader.Erase(ctx, loader.Erasure{Kind: e.Kind, Old: old, Replacement: replacement, Progress: report})
	if err != nil {
		slog.Warn("audit: erase: interrupted", "kind", e.Kind, "err", err)
		return err
	}
	slog.Warn("audit: erase: done", "kind", e.Kind, "contracts", done.Contracts, "facts", done.Facts, "files", done.Files, "rows", done.Rows)
	sum.Contracts += done.Contracts
	sum.Facts += done.Facts
	sum.Files += done.Files
	sum.Rows += done.Rows
	return os.Remove(filepath.Join(p.config.Data, erasingFile))
}

// readErasing is nil when no erasure was interrupted.
func readErasing(data string) (*erasing, error) {
	text, err := os.ReadFile(filepath.Join(data, erasingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	e := new(erasing)
	if err == nil {
		err = json.Unmarshal(text, e)
	}
	if err == nil && (len(e.Old) != 16 || len(e.Replacement) != 16 || e.Kind == "") {
		err = errors.New("it lacks a pseudonym")
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "erase", "%s cannot be read; remove it and erase the person again", filepath.Join(data, erasingFile))
	}
	return e, nil
}

// write makes it durable before anything is replaced.
func (e erasing) write(data string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := filepath.Join(data, erasingFile)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	folder, err := os.Open(data)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func newErase() *cobra.Command {
	c := &cobra.Command{
		Use:   "erase",
		Short: "Cut the link between one person and what is known of them",
		Long: `Replaces a person's pseudonym by a random one: in the facts, in every file of the lake
and in what rollups remember of persons. Events stay, and so does every figure; nobody, with
the keys and the identifier in hand, can tell any more that they were this person's.

The identifier is read from the standard input, never from the command line, and is kept
nowhere. The log says that an erasure was done, of which kind, and how many rows it met.

Not reached: the journal (its messages go 72 hours after they were loaded), the rows that its
ledger keeps of corrections, the quarantine, and backups: they go when they expire, and a
backup that is restored needs the erasure again. What the person does afterwards has
the pseudonym of old; erase again when that is to be cut, too.

It waits until all that was accepted is loaded, and loading waits for it: it reads one
column of the whole lake. Interrupted, it is ended with --resume.`,
		Example: `  ombor erase --kind pinfl < identifier.txt
  ombor erase --kind phone
  ombor erase --resume`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			var r eraseRequest
			r.Kind, _ = c.Flags().GetString("kind")
			resume, _ := c.Flags().GetBool("resume")
			if resume != (r.Kind == "") {
				return usage{errors.New("give either --kind, with the identifier on the standard input, or --resume")}
			}
			if !resume {
				if r.Identifier, err = readSecret(c, "identifier ("+r.Kind+"): "); err != nil {
					return err
				}
			}
			var done loader.Erased
			if err := operate(c, "erase", "files", r, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			fmt.Fprintf(c.OutOrStdout(), "replaced in %s rows of %s contracts, and in %s rows of %s files of the lake\n",
				grouped(int64(done.Facts)), grouped(int64(done.Contracts)), grouped(int64(done.Rows)), grouped(int64(done.Files)))
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().String("kind", "", "kind of the identifier, as contracts name it: pinfl, phone …")
	c.Flags().Bool("resume", false, "end the erasure that was interrupted")
	c.Flags().String("format", "table", "table or json")
	return c
}

// readSecret reads one line of the standard input; a terminal is asked, and does not show it.
func readSecret(c *cobra.Command, prompt string) (string, error) {
	in := c.InOrStdin()
	if f, ok := in.(*os.File); ok {
		if state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			fmt.Fprint(c.ErrOrStderr(), prompt)
			silent := *state
			silent.Lflag &^= unix.ECHO
			if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &silent); err != nil {
				return "", err
			}
			defer func() {
				_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, state) // it was set a moment ago
				fmt.Fprintln(c.ErrOrStderr())
			}()
		}
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", usage{errors.New("no identifier was given on the standard input")}
	}
	return line, nil
}
