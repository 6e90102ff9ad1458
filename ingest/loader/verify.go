package loader

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/errgroup"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/lake"
)

// Verification says what is compared.
type Verification struct {
	Contract string                                        // CloudEvents type; "" is all
	Day      string                                        // of receipt, YYYY-MM-DD; "" is all
	Quick    bool                                          // numbers of rows only: neither the journal nor a file of the lake is read
	Repair   bool                                          // rollups that differ from their facts are computed anew
	Progress func(stage string, done float64, rows uint64) // may be called by several goroutines; nil is fine
}

// Verified is what a verification found. Everything agrees when Differences is empty.
type Verified struct {
	Through uint64 `json:"through"` // message up to which was compared: what was loaded when it began
	Journal struct {
		First    uint64 `json:"first"` // message; older ones have been purged
		Messages uint64 `json:"messages"`
		Events   uint64 `json:"events"`
		Damaged  uint64 `json:"damaged"` // events in parts whose bytes changed: set aside when they were read
	} `json:"journal"`
	Lake struct {
		Files int    `json:"files"`
		Rows  uint64 `json:"rows"`
		Bytes int64  `json:"bytes"`
	} `json:"lake"`
	Warehouse struct {
		Rows    uint64 `json:"rows"`
		Batches uint64 `json:"batches"`
		Rollups int    `json:"rollups"`
	} `json:"warehouse"`
	Repaired    []string     `json:"repaired,omitempty"` // contracts and months whose rollups were computed anew
	Differences []Difference `json:"differences"`
	Seconds     float64      `json:"seconds"`
}

// Difference is one range in which two parts do not hold the same.
type Difference struct {
	Between  string `json:"between"` // "journal", "journal and lake", "lake", "lake and warehouse", "warehouse", "rollups and facts", "lake and rollups"
	What     string `json:"what"`    // "missing in the lake", "twice in the warehouse", "other content in the warehouse" …
	Contract string `json:"contract,omitempty"`
	Day      string `json:"day,omitempty"`   // of receipt
	First    uint64 `json:"first,omitempty"` // messages
	Last     uint64 `json:"last,omitempty"`
	Rows     uint64 `json:"rows,omitempty"`
	Example  string `json:"example,omitempty"` // a row: message.row
	Detail   string `json:"detail,omitempty"`
}

func (d Difference) String() string {
	var b strings.Builder
	b.WriteString(d.Between + ": ")
	if d.Rows > 0 {
		fmt.Fprintf(&b, "%d rows ", d.Rows)
	}
	b.WriteString(d.What)
	if d.Contract != "" {
		b.WriteString(", " + d.Contract)
	}
	if d.Day != "" {
		b.WriteString(", received " + d.Day)
	}
	if d.First > 0 {
		fmt.Fprintf(&b, ", messages %d to %d", d.First, d.Last)
	}
	if d.Example != "" {
		b.WriteString(", for instance row " + d.Example)
	}
	if d.Detail != "" {
		b.WriteString(": " + d.Detail)
	}
	return b.String()
}

const (
	journalAlone  = "journal"
	journalLake   = "journal and lake"
	lakeAlone     = "lake"
	lakeWarehouse = "lake and warehouse"
	warehouseOnly = "warehouse"
	rollupsFacts  = "rollups and facts"
	lakeRollups   = "lake and rollups"
)

// examples is how many batches that differ are looked into row by row, for each contract.
const examples = 50

// verifier is one verification.
type verifier struct {
	*Loader
	Verification
	files []lake.File // of the plans that are done
	taken []lake.File // those that the filters take
	rows  uint64      // of them

	kept []lake.Figures // of months without rows

	retired map[monthOf]bool // whose facts are not kept any longer

	mu     sync.Mutex // guards what follows while files are read
	out    Verified
	passed uint64 // rows read
}

// monthOf is a month of receipt, YYYY-MM, of a contract.
type monthOf struct{ contract, month string }

// keeps says whether the warehouse has to have a contract's rows of a day of receipt.
func (r *verifier) keeps(c *contract.Contract, cut string) bool {
	return !r.retired[monthOf{c.Type, cut[:len("2006-01")]}]
}

// Verify compares journal, lake and warehouse as they are when it begins; loading goes on
// meanwhile. An error means that the comparison could not be made; what it found is
// in Verified.
//
//   - journal and lake: every event of the messages that the journal still holds stands in the lake at its
//     own sequence with its own content, or its revision stands there at an earlier one;
//   - lake: every file that a manifest names is there, with the bytes, the rows, the order and
//     the sums that the manifest says, and it has as many accepted events as the ledger;
//   - lake and warehouse: the rows of every batch and their checksums over all columns, and where they
//     differ, which rows; of months whose facts are kept;
//   - warehouse: no revision of an event counts twice;
//   - rollups and facts: the sums of each rollup, by month of receipt, are those of its facts;
//   - lake and rollups: of months without rows the lake's figures are there as their document says, and each
//     rollup that they were kept for has their sum.
func (l *Loader) Verify(ctx context.Context, v Verification) (*Verified, error) {
	began := time.Now()
	if v.Progress == nil {
		v.Progress = func(string, float64, uint64) {}
	}
	if v.Contract != "" && l.cfg.Set.ByType(v.Contract) == nil {
		return nil, problem.New(problem.BadInput, "there is no contract %q", v.Contract).In("contract")
	}
	if v.Day != "" {
		if _, err := reference.ParseDay(v.Day); err != nil {
			return nil, problem.New(problem.BadInput, "%q is no day; want YYYY-MM-DD, for instance 2024-05-01", v.Day).In("day")
		}
	}
	r := &verifier{Loader: l, Verification: v, retired: map[monthOf]bool{}}
	retired, err := l.cfg.Warehouse.Retired(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range retired {
		r.retired[monthOf{m.Contract, m.Month}] = true
	}
	// One moment in which all parts hold the same.
	v.Progress("rollups and facts", 0, 0)
	if err := l.Quiet(ctx, func() error {
		r.out.Through = l.Status().Loaded
		var err error
		if r.files, err = l.cfg.Lake.Files(ctx); err != nil {
			return err
		}
		if r.kept, err = l.cfg.Lake.Figures(ctx); err != nil {
			return err
		}
		if err := r.rollups(ctx, v.Repair); err != nil {
			return err
		}
		return r.keptFigures(ctx, v.Repair)
	}); err != nil {
		return nil, err
	}
	r.files = slices.DeleteFunc(r.files, func(f lake.File) bool { return f.Last > r.out.Through })
	for _, f := range r.files {
		if l.cfg.Set.ByType(f.Contract) == nil {
			return nil, problem.New(problem.Conflict, "the lake has events of type %s, which this pack does not know; verify with the pack that accepted them", f.Contract)
		}
		if r.takes(f) {
			r.taken = append(r.taken, f)
			r.rows += f.Rows
			r.out.Lake.Files++
			r.out.Lake.Rows += f.Rows
			r.out.Lake.Bytes += f.Bytes
		}
	}
	steps := []func(context.Context) error{r.lakeAndWarehouse, r.figureFiles, r.countedTwice, r.ledgerAndLake, r.journalAndLake}
	if v.Quick {
		steps = steps[:1]
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if r.out.Differences == nil {
		r.out.Differences = []Difference{}
	}
	slices.SortStableFunc(r.out.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Between, b.Between), cmp.Compare(a.Contract, b.Contract), cmp.Compare(a.First, b.First))
	})
	r.out.Seconds = time.Since(began).Seconds()
	return &r.out, nil
}

func (r *verifier) takes(f lake.File) bool {
	return (r.Contract == "" || f.Contract == r.Contract) && (r.Day == "" || f.Cut == r.Day)
}

// whole says that nothing is filtered out.
func (r *verifier) whole() bool { return r.Contract == "" && r.Day == "" }

// differ notes a difference; neighbours with the same fault are one range.
func (r *verifier) differ(d Difference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.out.Differences); n > 0 && d.First > 0 {
		b := &r.out.Differences[n-1]
		if b.Between == d.Between && b.What == d.What && b.Contract == d.Contract && b.Day == d.Day && b.Detail == d.Detail && b.First > 0 && d.First >= b.First {
			b.Last = max(b.Last, d.Last)
			b.Rows += d.Rows
			return
		}
	}
	r.out.Differences = append(r.out.Differences, d)
}

// rollups compares them with their facts, and repairs when asked to. Nothing is loaded
// meanwhile.
func (r *verifier) rollups(ctx context.Context, repair bool) error {
	w := r.cfg.Warehouse
	contracts := map[string]*contract.Contract{}
	for _, c := range r.cfg.Set.All() {
		for _, rollup := range w.Rollups(c) {
			contracts[rollup.Name] = c
		}
	}
	r.out.Warehouse.Rollups = len(contracts)
	found, err := w.Verify(ctx)
	if err != nil {
		return err
	}
	type partition struct {
		c     *contract.Contract
		month uint32
	}
	refill := map[partition]bool{}
	for _, d := range found {
		c := contracts[d.Rollup]
		if r.Contract != "" && c.Type != r.Contract {
			continue
		}
		if repair {
			refill[partition{c, d.Month}] = true
			continue
		}
		r.differ(Difference{Between: rollupsFacts, What: "do not add up", Contract: c.Type,
			Detail: fmt.Sprintf("%s has %d in %d-%02d where the facts have %d; 'ombor verify --repair' computes it anew", d.Rollup, d.Rollups, d.Month/100, d.Month%100, d.Facts)})
	}
	if len(refill) == 0 {
		return nil
	}
	r.rolling.Lock()
	defer r.rolling.Unlock()
	for p := range refill {
		month := fmt.Sprintf("%d-%02d", p.month/100, p.month%100)
		day, err := reference.ParseDay(month + "-01")
		if err != nil {
			return problem.Wrap(err, problem.Internal, "loader: repair", "the warehouse names the month %d", p.month)
		}
		if err := w.Refill(ctx, p.c, day); err != nil {
			return err
		}
		r.out.Repaired = append(r.out.Repaired, p.c.Type+", received in "+month)
	}
	slices.Sort(r.out.Repaired)
	return r.rollups(ctx, false)
}

// keptFigures holds the rollups of months without rows against what the lake keeps of them, and repairs
// when asked to. Nothing is loaded meanwhile.
func (r *verifier) keptFigures(ctx context.Context, repair bool) error {
	held := map[string]map[string]map[string]int64{} // of contracts
	for _, f := range r.kept {
		if r.Contract != "" && f.Contract != r.Contract || !r.retired[monthOf{f.Contract, f.Month}] {
			continue
		}
		if held[f.Contract] == nil {
			var err error
			if held[f.Contract], err = r.cfg.Warehouse.Held(ctx, r.cfg.Set.ByType(f.Contract)); err != nil { // what is retired is of a contract of the pack
				return err
			}
		}
		for _, file := range f.Files {
			months, is := held[f.Contract][file.Table]
			n := months[f.Month]
			if !is || n == file.Cases { // distinct counts have no sum; a rollup may be none any more
				continue
			}
			if !repair {
				r.differ(Difference{Between: lakeRollups, What: "do not add up", Contract: f.Contract,
					Detail: fmt.Sprintf("%s has %d in %s where the lake's figures have %d; 'ombor verify --repair' puts them in again", file.Table, n, f.Month, file.Cases)})
				continue
			}
			r.rolling.Lock()
			err := r.putTable(ctx, f, file.Table)
			r.rolling.Unlock()
			if err != nil {
				return err
			}
			r.out.Repaired = append(r.out.Repaired, f.Contract+", received in "+f.Month+", from the lake's figures")
		}
	}
	return nil
}

// figureFiles looks whether the figures of months without rows are what their documents say.
func (r *verifier) figureFiles(ctx context.Context) error {
	for _, f := range r.kept {
		for _, file := range f.Files {
			if r.Contract != "" && f.Contract != r.Contract {
				continue
			}
			if _, err := r.cfg.Lake.FigureObject(ctx, file); err != nil && !r.damaged(lake.File{Name: file.Name, Contract: f.Contract, Cut: f.Month}, err) {
				return err
			}
		}
	}
	return nil
}

// sum is what one part holds of a batch.
type sum struct{ rows, content uint64 }

type batchKey struct {
	cut   reference.Day
	batch uint64
}

func (r *verifier) lakeAndWarehouse(ctx context.Context) error {
	for _, c := range r.cfg.Set.All() {
		if r.Contract != "" && c.Type != r.Contract {
			continue
		}
		var files []lake.File
		for _, f := range r.taken {
			if f.Contract == c.Type {
				files = append(files, f)
			}
		}
		compare := r.contents
		if r.Quick {
			compare = r.numbers
		}
		if err := compare(ctx, c, files); err != nil {
			return err
		}
	}
	return nil
}

// contents reads a contract's files and holds their batches against the facts.
func (r *verifier) contents(ctx context.Context, c *contract.Contract, files []lake.File) error {
	held := map[batchKey]sum{} // by the lake
	var bad []lake.File        // whose rows cannot be known
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for _, f := range files {
		group.Go(func() error {
			own := map[batchKey]sum{}
			err := r.cfg.Lake.Verify(inner, f, c, func(rec arrow.Record) error {
				r.advance(uint64(rec.NumRows()))
				return addSums(own, c, rec)
			})
			if err != nil && !r.damaged(f, err) {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				bad = append(bad, f)
				return nil
			}
			for key, s := range own {
				if !r.keeps(c, f.Cut) {
					break
				}
				before := held[key]
				held[key] = sum{before.rows + s.rows, before.content + s.content}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var differ []batchKey
	if err := r.cfg.Warehouse.BatchSums(ctx, c, r.out.Through, true, func(b warehouse.BatchSum) error {
		if r.Day != "" && b.Cut.String() != r.Day {
			return nil
		}
		r.out.Warehouse.Rows += b.Rows
		r.out.Warehouse.Batches++
		key := batchKey{b.Cut, b.Batch}
		unknown := slices.ContainsFunc(bad, func(f lake.File) bool { return f.First <= b.Batch && b.Batch <= f.Last })
		if !unknown && r.keeps(c, b.Cut.String()) && held[key] != (sum{b.Rows, b.Content}) {
			differ = append(differ, key)
		}
		delete(held, key)
		return nil
	}); err != nil {
		return err
	}
	for key := range held {
		differ = append(differ, key)
	}
	slices.SortFunc(differ, func(a, b batchKey) int { return cmp.Compare(a.batch, b.batch) })
	for i, key := range differ {
		if i == examples {
			r.differ(Difference{Between: lakeWarehouse, What: "differ", Contract: c.Type, First: key.batch, Last: differ[len(differ)-1].batch,
				Detail: fmt.Sprintf("%d more batches, not looked into", len(differ)-examples)})
			break
		}
		if err := r.look(ctx, c, key, files); err != nil {
			return err
		}
	}
	return nil
}

// numbers compares the numbers of rows, file by file.
func (r *verifier) numbers(ctx context.Context, c *contract.Contract, files []lake.File) error {
	var bad []lake.File
	for _, f := range files {
		if err := r.cfg.Lake.Stat(ctx, f); err != nil {
			if !r.damaged(f, err) {
				return err
			}
			bad = append(bad, f)
		}
	}
	have := make([]uint64, len(files))
	if err := r.cfg.Warehouse.BatchSums(ctx, c, r.out.Through, false, func(b warehouse.BatchSum) error {
		if r.Day != "" && b.Cut.String() != r.Day {
			return nil
		}
		r.out.Warehouse.Rows += b.Rows
		r.out.Warehouse.Batches++
		at, _ := slices.BinarySearchFunc(files, b.Batch, func(f lake.File, batch uint64) int { return cmp.Compare(f.Last, batch) })
		if at < len(files) && files[at].First <= b.Batch {
			have[at] += b.Rows
		} else {
			r.differ(Difference{Between: lakeWarehouse, What: "not in the lake", Contract: c.Type, Day: b.Cut.String(), First: b.Batch, Last: b.Batch, Rows: b.Rows})
		}
		return nil
	}); err != nil {
		return err
	}
	for i, f := range files {
		if have[i] != f.Facts && r.keeps(c, f.Cut) && !slices.Contains(bad, f) {
			r.differ(Difference{Between: lakeWarehouse, What: "differ in number", Contract: c.Type, Day: f.Cut, First: f.First, Last: f.Last,
				Detail: fmt.Sprintf("%d rows in the lake, %d in the warehouse", f.Facts, have[i])})
		}
	}
	return nil
}

// damaged tells of a file that is not what its manifest says; false when the error is about something else.
func (r *verifier) damaged(f lake.File, err error) bool {
	d := Difference{Between: lakeAlone, What: "damaged", Contract: f.Contract, Day: f.Cut, First: f.First, Last: f.Last, Rows: f.Rows}
	switch problem.KindOf(err) {
	case problem.Internal:
		d.Detail = err.Error()
	case problem.NotFound:
		d.What, d.Detail = "missing in the lake", "there is no "+f.Name
	default:
		return false
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	r.differ(d)
	return true
}

func (r *verifier) advance(rows uint64) {
	r.mu.Lock()
	r.passed += rows
	passed := r.passed
	r.mu.Unlock()
	r.Progress("lake and warehouse", float64(passed)/float64(max(r.rows, 1)), passed)
}

// named finds a column of a record of the lake.
func named[A arrow.Array](rec arrow.Record, name string) A {
	return rec.Column(rec.Schema().FieldIndices(name)[0]).(A) // the lake's schema has it
}

// addSums adds a record's rows, those of the warehouse, to their batches.
func addSums(into map[batchKey]sum, c *contract.Contract, rec arrow.Record) error {
	all, err := contents(c, rec)
	if err != nil {
		return err
	}
	sign, cut, batch := named[*array.Int8](rec, lake.ColumnSign), named[*array.Date32](rec, lake.ColumnCut), named[*array.Uint64](rec, lake.ColumnBatch)
	var key batchKey
	var s sum
	for i, content := range all {
		if sign.Value(i) == 0 {
			continue
		}
		if k := (batchKey{reference.Day(cut.Value(i)), batch.Value(i)}); k != key {
			if s.rows > 0 {
				into[key] = s
			}
			key, s = k, into[k]
		}
		s.rows++
		s.content += content
	}
	if s.rows > 0 {
		into[key] = s
	}
	return nil
}

// look says in which rows a batch differs.
func (r *verifier) look(ctx context.Context, c *contract.Contract, key batchKey, files []lake.File) error {
	type row struct {
		seq  uint64
		sign int8
	}
	here, there := map[row][]uint64{}, map[row][]uint64{}
	for _, f := range files {
		if f.First > key.batch || f.Last < key.batch {
			continue
		}
		if err := r.cfg.Lake.Read(ctx, f, c, func(rec arrow.Record) error {
			all, err := contents(c, rec)
			if err != nil {
				return err
			}
			sign, seq, batch := named[*array.Int8](rec, lake.ColumnSign), named[*array.Uint64](rec, lake.ColumnSeq), named[*array.Uint64](rec, lake.ColumnBatch)
			for i, content := range all {
				if batch.Value(i) == key.batch && sign.Value(i) != 0 {
					k := row{seq.Value(i), sign.Value(i)}
					here[k] = append(here[k], content)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if err := r.cfg.Warehouse.RowSums(ctx, c, key.batch, func(s warehouse.RowSum) error {
		k := row{s.Seq, s.Sign}
		there[k] = append(there[k], s.Content)
		return nil
	}); err != nil {
		return err
	}
	type fault struct{ rows, first, last uint64 }
	faults := map[string]*fault{}
	say := func(what string, rows int, seq uint64) {
		f := faults[what]
		if f == nil {
			f = &fault{first: seq, last: seq}
			faults[what] = f
		}
		f.rows += uint64(rows)
		f.first, f.last = min(f.first, seq), max(f.last, seq)
	}
	for k, a := range here {
		b := there[k]
		slices.Sort(a)
		slices.Sort(b)
		switch {
		case len(b) < len(a):
			say("missing in the warehouse", len(a)-len(b), k.seq)
		case len(b) > len(a):
			say("twice in the warehouse", len(b)-len(a), k.seq)
		case !slices.Equal(a, b):
			say("other content in the warehouse", len(a), k.seq)
		}
	}
	for k, b := range there {
		if here[k] == nil {
			say("not in the lake", len(b), k.seq)
		}
	}
	if len(faults) == 0 {
		say("of another day of receipt in the warehouse", max(len(here), len(there)), key.batch<<rowBits)
	}
	for _, what := range slices.Sorted(maps.Keys(faults)) {
		f := faults[what]
		r.differ(Difference{Between: lakeWarehouse, What: what, Contract: c.Type, Day: key.cut.String(),
			First: f.first >> rowBits, Last: f.last >> rowBits, Rows: f.rows, Example: place(f.first)})
	}
	return nil
}

// place is a sequence as people read it.
func place(seq uint64) string { return fmt.Sprintf("%d.%d", seq>>rowBits, seq&(1<<rowBits-1)) }

func (r *verifier) countedTwice(ctx context.Context) error {
	if !r.whole() {
		return nil
	}
	r.Progress("events counted twice", 0, 0)
	found, err := r.cfg.Warehouse.CountedTwice(ctx, r.out.Through, examples)
	for _, t := range found {
		last := t.Seqs[len(t.Seqs)-1]
		r.differ(Difference{Between: warehouseOnly, What: "counted twice", Rows: uint64(len(t.Seqs)), First: t.Seqs[0] >> rowBits, Last: last >> rowBits,
			Example: place(last), Detail: fmt.Sprintf("revision %d of event %s", t.Revision, t.ID)})
	}
	return err
}

// ledgerAndLake compares the number of events that the ledger says were accepted with
// those of the lake, and halves the range until it finds where they differ.
func (r *verifier) ledgerAndLake(ctx context.Context) error {
	if !r.whole() || r.out.Through == 0 || len(r.out.Differences) > 0 {
		return nil // what is missing is told already
	}
	r.Progress("ledger and lake", 0, 0)
	accepted := make([]uint64, len(r.files))
	for i, f := range r.files {
		if err := r.cfg.Lake.ReadColumns(ctx, f, r.cfg.Set.ByType(f.Contract), []string{lake.ColumnSign}, func(rec arrow.Record) error {
			for _, sign := range named[*array.Int8](rec, lake.ColumnSign).Int8Values() {
				if sign >= 0 {
					accepted[i]++
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	var halve func(first, last uint64) error
	halve = func(first, last uint64) error {
		told, err := r.Outcome(ctx, journal.Range{First: journal.Place{Seq: first}, Last: journal.Place{Seq: last, Part: 1 << 30}})
		if err != nil {
			return err
		}
		var held uint64
		var cuts []uint64 // where the range can be halved: between two files
		for i, f := range r.files {
			if f.First < first || f.Last > last {
				continue
			}
			held += accepted[i]
			if f.First > first {
				cuts = append(cuts, f.First)
			}
			if f.Last < last {
				cuts = append(cuts, f.Last+1)
			}
		}
		if told.Accepted == held {
			return nil
		}
		slices.Sort(cuts)
		if cuts = slices.Compact(cuts); len(cuts) > 0 {
			at := cuts[len(cuts)/2]
			if err := halve(first, at-1); err != nil {
				return err
			}
			return halve(at, last)
		}
		d := Difference{Between: lakeAlone, What: "missing in the lake", First: first, Last: last, Rows: told.Accepted - held, Detail: "the ledger says that they were accepted"}
		if held > told.Accepted {
			d.What, d.Rows, d.Detail = "more in the lake", held-told.Accepted, "than the ledger says were accepted"
		}
		r.differ(d)
		return nil
	}
	return halve(1, r.out.Through)
}

// seen is a row of the journal or of the lake: where, and a hash of what.
type seen struct{ seq, hash uint64 }

func hashOf(id []byte, digest uint64, withdrawn bool) uint64 {
	h := warehouse.Mix(binary.LittleEndian.Uint64(id)) ^ binary.LittleEndian.Uint64(id[8:])
	h = warehouse.Mix(h ^ digest)
	if withdrawn {
		h++
	}
	return h
}

// idKey is 64 bits of a keyed 128-bit hash, revisionKey those of a revision.
func idKey(id []byte) uint64                   { return binary.LittleEndian.Uint64(id) }
func revisionKey(id []byte, rev uint32) uint64 { return warehouse.Mix(idKey(id) + uint64(rev)) }

const (
	repeatedAtOnce = 4 << 20 // repeated events that wait to be looked up in the lake
	strideMessages = 256     // of the journal, compared at once where the lake has no file
)

// journalAndLake reads what the journal still holds.
func (r *verifier) journalAndLake(ctx context.Context) error {
	st, err := r.cfg.Journal.Status(ctx)
	if err != nil {
		return err
	}
	first := max(st.First, 1)
	r.out.Journal.First = first
	// The journal's events that have no row of their own in the lake: idKey of those that correct
	// whatever stands, revisionKey of the others → the first sequence at which they come.
	repeated := map[uint64]uint64{}
	files := r.files
	for next := first; next <= r.out.Through; {
		// The messages of the next file's plans, or those before them, which have no rows in the lake.
		for len(files) > 0 && files[0].Last < next {
			files = files[1:]
		}
		last := min(next+strideMessages-1, r.out.Through)
		var window []lake.File
		switch {
		case len(files) > 0 && files[0].First <= next:
			last = files[0].Last
			for _, f := range files {
				if f.First <= last {
					window = append(window, f)
				}
			}
		case len(files) > 0:
			last = min(last, files[0].First-1)
		}
		if r.whole() || slices.ContainsFunc(window, r.takes) {
			begins, err := r.window(ctx, next, last, window, repeated)
			if err != nil {
				return err
			}
			if begins > next { // the journal lets go of what is old while we read
				next, r.out.Journal.First = begins, begins
				continue
			}
		}
		next = last + 1
		r.Progress("journal and lake", float64(next-first)/float64(r.out.Through-first+1), r.out.Journal.Events)
		if len(repeated) >= repeatedAtOnce {
			if err := r.known(ctx, repeated); err != nil {
				return err
			}
		}
	}
	if !r.whole() {
		return nil // an event may have come first under another contract or on another day
	}
	return r.known(ctx, repeated)
}

// accepted reads what the lake accepted from some files, from a message on, in the order of sequences.
func (r *verifier) accepted(ctx context.Context, files []lake.File, from uint64) (held []seen, err error) {
	columns := []string{contract.ColumnID, contract.ColumnDigest, contract.ColumnWithdrawn, lake.ColumnSign, lake.ColumnSeq}
	for _, f := range files {
		if r.Contract != "" && f.Contract != r.Contract {
			continue
		}
		if err := r.cfg.Lake.ReadColumns(ctx, f, r.cfg.Set.ByType(f.Contract), columns, func(rec arrow.Record) error {
			id, digest := named[*array.FixedSizeBinary](rec, contract.ColumnID), named[*array.Uint64](rec, contract.ColumnDigest)
			withdrawn := named[*array.Boolean](rec, contract.ColumnWithdrawn)
			sign, seq := named[*array.Int8](rec, lake.ColumnSign), named[*array.Uint64](rec, lake.ColumnSeq)
			for i := range int(rec.NumRows()) {
				if sign.Value(i) >= 0 && seq.Value(i)>>rowBits >= from {
					held = append(held, seen{seq.Value(i), hashOf(id.Value(i), digest.Value(i), withdrawn.Value(i))})
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(held, func(a, b seen) int { return cmp.Compare(a.seq, b.seq) })
	return held, nil
}

// window compares the messages next to last with the files that cover them. It returns
// the first message that the journal has, when that is a later one than next.
func (r *verifier) window(ctx context.Context, next, last uint64, files []lake.File, repeated map[uint64]uint64) (begins uint64, err error) {
	held, err := r.accepted(ctx, files, next)
	switch k := problem.KindOf(err); {
	case err != nil && ctx.Err() == nil && (k == problem.Internal || k == problem.NotFound):
		return 0, nil // told when the lake was read
	case err != nil:
		return 0, err
	}
	day := ""
	if len(files) > 0 {
		day = files[0].Cut
	}
	differ := func(what string, seq uint64) {
		r.differ(Difference{Between: journalLake, What: what, Contract: r.Contract, Day: day, First: seq >> rowBits, Last: seq >> rowBits, Rows: 1, Example: place(seq)})
	}
	upTo := func(seq uint64) { // what the lake has before seq, the journal has not
		for ; len(held) > 0 && held[0].seq < seq; held = held[1:] {
			differ("not in the journal", held[0].seq)
		}
	}
	// What the lake has of a damaged message was read before the damage came. When it has nothing, the
	// loader found the damage and set it aside.
	beyond := func(end uint64, d journal.Damage) {
		var rows uint64
		for ; len(held) > 0 && held[0].seq < end; held = held[1:] {
			rows++
		}
		if rows > 0 {
			r.differ(Difference{Between: journalAlone, What: "damaged or lost in the journal", First: d.Seq, Last: d.Seq, Rows: rows, Detail: d.Reason})
		}
	}
	read := func(part contract.Part, seq uint64) error {
		b, err := batchOf(part.Record)
		if err != nil {
			return err
		}
		for row := range int(part.Record.NumRows()) {
			id := b.ids[row*16 : row*16+16]
			at := seq + uint64(row)
			r.out.Journal.Events++
			upTo(at)
			if len(held) == 0 || held[0].seq != at {
				key := revisionKey(id, b.revs[row])
				if b.correct.Value(row) && b.revs[row] == 0 {
					key = idKey(id)
				}
				if before, ok := repeated[key]; !ok || at < before {
					repeated[key] = at
				}
				continue
			}
			if held[0].hash != hashOf(id, b.digests[row], b.withdrawn.Value(row)) {
				differ("other content in the lake", at)
			}
			for held = held[1:]; len(held) > 0 && held[0].seq == at; held = held[1:] {
				differ("twice in the lake", at)
			}
		}
		return nil
	}
	err = r.cfg.Journal.Read(ctx, next, last, "", func(m journal.Message) error {
		r.out.Journal.Messages++
		seq, end := m.Seq<<rowBits, (m.Seq+1)<<rowBits
		lost := map[int]journal.Damage{}
		for _, d := range m.Damage {
			lost[d.Part] = d
			r.out.Journal.Damaged += uint64(max(d.Rows, 1))
			if d.Whole {
				upTo(seq)
				beyond(end, d)
			}
		}
		for i, part := range m.Parts {
			if part.Record == nil {
				upTo(seq)
				seq += uint64(lost[i].Rows)
				beyond(seq, lost[i])
				continue
			}
			if r.Contract == "" || part.Contract.Type == r.Contract {
				if err := read(part, seq); err != nil {
					return problem.Wrap(err, problem.Internal, fmt.Sprintf("loader: message %d, part %d", m.Seq, i), "a batch of %s does not fit its contract", part.Contract.Type)
				}
			}
			seq += uint64(part.Record.NumRows())
		}
		return nil
	})
	var gap *journal.Gap
	if errors.As(err, &gap) {
		st, serr := r.cfg.Journal.Status(ctx)
		if serr != nil {
			return 0, serr
		}
		if st.First > next {
			return st.First, nil
		}
		r.differ(Difference{Between: journalAlone, What: "missing in the journal", First: gap.Want, Last: gap.Have - 1})
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	upTo(^uint64(0))
	return 0, nil
}

// known looks for the repeated events in the lake: each must stand there earlier than
// in the journal. It empties the map.
func (r *verifier) known(ctx context.Context, repeated map[uint64]uint64) error {
	for i, f := range r.files {
		if len(repeated) == 0 {
			return nil
		}
		r.Progress("repeated events", float64(i)/float64(len(r.files)), uint64(len(repeated)))
		err := r.cfg.Lake.ReadColumns(ctx, f, r.cfg.Set.ByType(f.Contract), []string{contract.ColumnID, contract.ColumnRev, lake.ColumnSign, lake.ColumnSeq}, func(rec arrow.Record) error {
			id, rev := named[*array.FixedSizeBinary](rec, contract.ColumnID), named[*array.Uint32](rec, contract.ColumnRev)
			sign, seq := named[*array.Int8](rec, lake.ColumnSign), named[*array.Uint64](rec, lake.ColumnSeq)
			for row := range int(rec.NumRows()) {
				if sign.Value(row) < 0 {
					continue
				}
				for _, key := range []uint64{idKey(id.Value(row)), revisionKey(id.Value(row), rev.Value(row))} {
					if at, ok := repeated[key]; ok && seq.Value(row) < at {
						delete(repeated, key)
					}
				}
			}
			return nil
		})
		if k := problem.KindOf(err); err != nil && (ctx.Err() != nil || k != problem.Internal && k != problem.NotFound) {
			return err
		}
	}
	lost := slices.Sorted(maps.Values(repeated))
	clear(repeated)
	for _, seq := range lost {
		r.differ(Difference{Between: journalLake, What: "missing in the lake", First: seq >> rowBits, Last: seq >> rowBits, Rows: 1, Example: place(seq)})
	}
	return nil
}
