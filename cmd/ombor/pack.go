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
	"ombor/internal/kpi"
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
		Long: `Reads the pack, compiles its mappings and rules, parses its formulae with the
engine's own parser and computes them over made-up rows with extreme values, and
reports everything that is wrong at once. Nothing is changed. Exit code 0 when the pack is whole, 2 when it is not.`,
		Example: "  ombor pack check ./uz",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			formulae, stop, err := temporaryEngine(c.Context())
			if err != nil {
				return err
			}
			defer stop()
			p, err := readPack(names[0], formulae)
			if err != nil {
				return err
			}
			own := len(p.Contracts) - len(contract.BuiltIn(p.Prefix))
			fmt.Fprintf(c.OutOrStdout(), "%s: %s is whole (contracts %d, mappings %d, KPIs %d, targets %d)\n",
				names[0], p.Title.In("en"), own, len(p.Mappings), len(p.KPIs), len(p.Targets))
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

// readPack reads a folder or zip, or with an empty name the embedded pack uz. formulae are
// the checks of an engine; none skips them.
func readPack(name string, formulae pack.Checks) (*pack.Pack, error) {
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
	formulae.Mapping = mapping.Check
	p, err := pack.Read(files, formulae)
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

// temporaryEngine starts an engine in a folder of its own, to check formulae.
func temporaryEngine(ctx context.Context) (pack.Checks, func(), error) {
	dir, err := os.MkdirTemp("", "ombor-check-")
	if err != nil {
		return pack.Checks{}, nil, err
	}
	process, err := engine.Start(ctx, engine.Config{Path: filepath.Join(dir, "engine")})
	if err != nil {
		_ = os.RemoveAll(dir)
		return pack.Checks{}, nil, err
	}
	stop := func() {
		_ = process.Close()
		_ = os.RemoveAll(dir)
	}
	place := warehouse.Config{Socket: process.Socket()}
	w, err := warehouse.Open(ctx, place, noContracts{}, nil)
	if err != nil {
		stop()
		return pack.Checks{}, nil, err
	}
	return formulaChecks(ctx, place, w), func() { _ = w.Close(); stop() }, nil
}

// formulaChecks check formulae with the engine of a warehouse.
func formulaChecks(ctx context.Context, place warehouse.Config, w *warehouse.Warehouse) pack.Checks {
	return pack.Checks{
		Expression: func(sql string, columns []string) error { return w.Check(ctx, sql, columns) },
		Prove: func(set *contract.Set, kpis []*kpi.KPI) ([]kpi.Fault, error) {
			prover, err := warehouse.Open(ctx, place, set, kpis)
			if err != nil {
				return nil, err
			}
			defer prover.Close()
			return prover.Prove(ctx)
		},
	}
}
