package loader

import (
	"context"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/warehouse/lake"
)

// Erasure replaces the pseudonym of one person.
type Erasure struct {
	Kind             string // of identifier
	Old, Replacement [16]byte
	Progress         func(stage string, done float64, rows uint64) // nil is fine
}

// Erased is what an erasure did.
type Erased struct {
	Contracts int    `json:"contracts"` // with facts of the person
	Facts     uint64 `json:"facts"`     // rows, corrections included
	Files     int    `json:"files"`     // of the lake, written anew
	Rows      uint64 `json:"rows"`      // of the lake
}

// Erase gives a person another pseudonym in facts and lake, in every field whose
// identifiers are of the kind; figures stay what they are. It waits until everything that
// has been accepted is loaded, and loading waits for it. Interrupted at any point it is done
// again, with the same replacement. It is for the loader that is at work: Conflict elsewhere.
func (l *Loader) Erase(ctx context.Context, e Erasure) (*Erased, error) {
	if e.Progress == nil {
		e.Progress = func(string, float64, uint64) {}
	}
	st, err := l.cfg.Journal.Status(ctx)
	if err == nil {
		err = l.WaitLoaded(ctx, st.Last)
	}
	if err != nil {
		return nil, err
	}
	fields := map[string][]string{}
	var contracts []*contract.Contract
	for _, c := range l.cfg.Set.All() {
		for i := range c.Fields {
			if f := &c.Fields[i]; f.Type == contract.Person && f.ID == e.Kind {
				fields[c.Type] = append(fields[c.Type], f.Name)
			}
		}
		if len(fields[c.Type]) > 0 {
			contracts = append(contracts, c)
		}
	}
	out := new(Erased)
	return out, l.Quiet(ctx, func() error {
		s := l.Status()
		if s.Role != Active {
			return problem.New(problem.Conflict, "this server does not load (%s): erase where the loader is at work", s.Role)
		}
		if err := l.hold(ctx); err != nil {
			return err
		}
		// The lake first: what is made from it is right then.
		replaced, err := l.cfg.Lake.ReplacePerson(ctx, lake.Replacement{Contracts: l.cfg.Set, Through: s.Loaded, Fields: fields, Old: e.Old, Replacement: e.Replacement,
			Progress: func(done, files int) { e.Progress("lake", float64(done)/float64(max(files, 1)), uint64(done)) }})
		out.Files, out.Rows = replaced.Files, replaced.Rows
		if err != nil {
			return err
		}
		failpoint("erased in the lake")
		l.rolling.Lock()
		defer l.rolling.Unlock()
		for i, c := range contracts {
			e.Progress("warehouse", float64(i)/float64(len(contracts)), out.Facts)
			if err := l.hold(ctx); err != nil {
				return err
			}
			rows, err := l.cfg.Warehouse.ReplacePerson(ctx, c, fields[c.Type], e.Old, e.Replacement)
			if err != nil {
				return err
			}
			if rows > 0 {
				out.Contracts++
				out.Facts += rows
			}
		}
		return nil
	})
}
