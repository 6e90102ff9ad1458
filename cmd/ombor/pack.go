package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/warehouse"
	"ombor/warehouse/engine"
)

func newPack() *cobra.Command {
	c := &cobra.Command{
		Use:   "pack",
		Short: "Check a pack, or print the schema of its files",
		Long: `A pack is a country, a city or an inventory as a folder of YAML and CSV: contracts,
mappings, KPIs, targets, reference tables, labels. docs/packs.md tells every key.`,
	}
	check := &cobra.Command{
		Use:   "check DIR",
		Short: "Report every problem of a pack at once, with file, line and field",
		Long: `Reads the pack, compiles its mappings and rules, proves its formulae with the
engine's own parser, and reports everything that is wrong at once. Nothing is
changed. Exit code 0 when the pack is whole, 2 when it is not.`,
		Example: "  ombor pack check ./uz",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			expression, stop, err := temporaryEngine(c.Context())
			if err != nil {
				return err
			}
			defer stop()
			p, err := readPack(names[0], expression)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s is whole: %d contracts, %d mappings, %d KPIs, %d targets\n",
				names[0], p.Title.In("en"), len(p.Contracts), len(p.Mappings), len(p.KPIs), len(p.Targets))
			return nil
		},
	}
	schema := &cobra.Command{
		Use:   "schema KIND",
		Short: "Print the JSON Schema of a pack's files, for editors",
		Long:  "Prints the JSON Schema of pack, contract, mapping, kpi or targets, with which an editor completes and checks the file.",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, kinds []string) error {
			text, err := pack.Schema(kinds[0])
			if err != nil {
				return usage{err}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), string(text))
			return err
		},
	}
	c.AddCommand(check, schema)
	return c
}

// expressionCheck proves a formula's expression with the engine's parser.
type expressionCheck func(sql string, columns []string) error

// readPack reads a folder or zip, or with an empty name the embedded pack uz.
func readPack(name string, expression expressionCheck) (*pack.Pack, error) {
	var files fs.FS
	var err error
	if name == "" {
		files, err = pack.Embedded("uz")
	} else {
		files, err = pack.Open(name)
	}
	if err != nil {
		return nil, err
	}
	p, err := pack.Read(files, pack.Checks{Expression: expression, Mapping: mapping.Check})
	if err != nil {
		if closer, ok := files.(io.Closer); ok {
			_ = closer.Close() // what is wrong with the pack is the error to tell
		}
		return nil, err
	}
	return p, nil
}

// noContracts is the pack of a warehouse that is opened only to ask it something.
type noContracts struct{}

func (noContracts) All() []*contract.Contract { return nil }
func (noContracts) Zone() *time.Location      { return time.UTC }

// temporaryEngine starts an engine in a folder of its own, to check expressions.
func temporaryEngine(ctx context.Context) (expressionCheck, func(), error) {
	dir, err := os.MkdirTemp("", "ombor-check-")
	if err != nil {
		return nil, nil, err
	}
	process, err := engine.Start(ctx, engine.Config{Path: filepath.Join(dir, "engine")})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	stop := func() {
		_ = process.Close()
		_ = os.RemoveAll(dir)
	}
	check, err := expressionsOf(ctx, process.Socket())
	if err != nil {
		stop()
		return nil, nil, err
	}
	return check, stop, nil
}

// expressionsOf checks expressions with the engine on a socket.
func expressionsOf(ctx context.Context, socket string) (expressionCheck, error) {
	w, err := warehouse.Open(ctx, warehouse.Config{Socket: socket}, noContracts{}, nil)
	if err != nil {
		return nil, err
	}
	return func(sql string, columns []string) error { return w.Check(ctx, sql, columns) }, nil
}
