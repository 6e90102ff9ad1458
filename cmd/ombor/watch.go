package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dashboards "ombor/dashboards-api"
	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/ingest/loader"
	"ombor/internal/problem"
	"ombor/warehouse"
)

// startLoader opens the lake and lets the loader run until close.
func (p *program) startLoader(ctx context.Context) error {
	var err error
	if p.lake, err = p.openLake(ctx); err != nil {
		return err
	}
	config := loader.Config{Journal: p.journal, Warehouse: p.warehouse, Lake: p.lake, Set: p.pack.Set, Keys: p.keys, Dir: filepath.Join(p.config.Data, "loader"), Recent: p.config.IndexRecent}
	if p.engine == nil {
		config.Migrate = p.migrate // another server's loader may be at work there now: only who takes over may
	}
	if p.loader, err = loader.New(config); err != nil {
		return err
	}
	p.closing(p.loader.Close)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if !p.config.does("loader") {
			_ = p.loader.Observe(running) // it ends when it is told to
			return
		}
		// What stops the loader is said by Status; the door and the figures go on.
		_ = p.loader.Run(running)
	}()
	p.closing(func() error { stop(); <-ended; return nil })
	if p.config.does("loader") {
		counted := make(chan struct{})
		counting, stop := context.WithCancel(context.WithoutCancel(ctx))
		go func() { defer close(counted); p.keepSums(counting) }()
		p.closing(func() error { stop(); <-counted; return nil })
	}
	if p.engine == nil && p.config.does("loader") {
		// Figures need the tables. The door does not: it opens also when a part is away.
		patience, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		_, _ = p.loader.WaitRole(patience)
	}
	return nil
}

// outcome tells the door what became of a request.
func (p *program) outcome(ctx context.Context, r journal.Range) (ingest.Outcome, error) {
	receipt, err := p.loader.Outcome(ctx, r)
	if err == nil && !receipt.Loaded {
		err = p.reaches(ctx, r)
	}
	if err != nil || !receipt.Loaded {
		return ingest.Outcome{}, err
	}
	outcome := ingest.Outcome{Accepted: receipt.Accepted, Duplicate: receipt.Duplicate, Conflict: receipt.Conflict, Damaged: receipt.Damaged, Loaded: true}
	if receipt.Conflict+receipt.Damaged > 0 {
		outcome.Quarantined, err = p.journal.HeldIn(ctx, r)
	}
	return outcome, err
}

// reaches says whether the journal has got as far as a receipt, NotFound when it has not: it
// was restored from before the receipt was given, or emptied. Nobody would ever load the
// events then, and who waits for them must not wait for ever.
func (p *program) reaches(ctx context.Context, r journal.Range) error {
	s, err := p.journal.Status(ctx)
	if err != nil || r.Last.Seq <= s.Last {
		return err
	}
	return problem.New(problem.NotFound, "the events of this receipt are not here: they were accepted as message %d, and the journal ends at message %d; it was restored from an earlier backup, or emptied. Send the events again", r.Last.Seq, s.Last)
}

// closingOfDeliveries is what the door asks of the other rooms to close a delivery.
func (p *program) closingOfDeliveries() *ingest.Closing {
	return &ingest.Closing{
		Last: func(ctx context.Context) (uint64, error) {
			s, err := p.journal.Status(ctx)
			return s.Last, err
		},
		Read: p.journal.Read, WaitLoaded: p.loader.WaitLoaded, Standing: p.warehouse.Standing,
	}
}

// snapshot is what is known of the data and takes a question to find out.
type snapshot struct {
	senders map[string]warehouse.Sender
	engine  string // version
	trouble string // why the senders are not as they should be; "" when they are
}

// Between two snapshots pass at least snapshotEvery, and at most snapshotIdle when nothing
// is loaded: a warehouse that hangs is noticed also by a server that waits for it.
const (
	snapshotEvery   = time.Second
	snapshotIdle    = 5 * time.Second
	snapshotTimeout = 5 * time.Second
)

// watch takes a snapshot whenever something was loaded, and now and then, until close.
func (p *program) watch(ctx context.Context) {
	p.snapshot.Store(&snapshot{})
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pause := time.NewTicker(snapshotEvery)
		defer pause.Stop()
		for ctx.Err() == nil {
			loaded := p.loader.Status().Loaded
			taken := p.takeSnapshot(ctx)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			if taken {
				idle, stop := context.WithTimeout(ctx, snapshotIdle)
				_ = p.loader.WaitLoaded(idle, loaded+1) // an error: loading has stopped, which status says; the pause keeps us from spinning
				stop()
			}
		}
	}()
	p.closing(func() error { stop(); <-ended; return nil })
}

// takeSnapshot is false when the warehouse could not be asked.
func (p *program) takeSnapshot(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	next := *p.snapshot.Load() // what was known stays known
	senders, err := p.warehouse.Senders(ctx)
	if err == nil { // another server's loader may have retired facts
		_, err = p.warehouse.Retired(ctx)
	}
	if err == nil && next.engine == "" {
		var state *warehouse.Status
		if state, err = p.warehouse.Status(ctx); err == nil {
			next.engine = state.Engine
		}
	}
	if next.trouble = ""; err != nil {
		next.trouble = "the warehouse does not answer: " + problem.DocumentOf(err).Detail
	} else {
		next.senders = map[string]warehouse.Sender{}
		for _, s := range senders {
			next.senders[s.Source] = s
		}
	}
	p.snapshot.Store(&next)
	return err == nil
}

// status is how far the data are, for /v1/status. It asks nobody, so it is quick.
func (p *program) status() dashboards.Status {
	w, known := p.loader.Status(), p.snapshot.Load()
	s := dashboards.Status{
		Journal: w.Journal, Loaded: w.Loaded, Lake: w.Loaded,
		LagEvents: w.Lag.Events, Lag: time.Duration(w.Lag.Seconds * float64(time.Second)),
		Engine:   dashboards.Engine{Version: known.engine},
		Loader:   dashboards.Loader{Role: w.Role, Holder: w.Holder, Epoch: w.Epoch, Repaired: w.Repaired},
		Problems: p.problems(w.Trouble, known.trouble),
	}
	if p.engine != nil {
		state := p.engine.State()
		s.Engine = dashboards.Engine{Version: state.Version, Resident: state.Resident, Restarts: state.Restarts}
	}
	_, s.Durability = p.stream.Durability()
	events := map[string]uint64{}
	s.Accepted = map[string]uint64{}
	for _, count := range w.Counts {
		events[count.Source] += count.Accepted
		s.Accepted[count.Contract] += count.Accepted
		s.Duplicates += count.Duplicate
		s.Conflicts += count.Conflict
	}
	s.Quarantine, s.Held = p.heldCounts()
	if full := p.heldTrouble(); full != "" {
		s.Problems = append(s.Problems, full)
	}
	now := time.Now()
	add := func(source dashboards.Source) {
		sender := known.senders[source.Source]
		source.Events, source.LastEvent, source.Received = events[source.Source], sender.Last, sender.Received
		source.Late = source.Promise > 0 && now.Sub(source.LastEvent) > source.Promise
		if source.Received.After(s.Received) {
			s.Received = source.Received
		}
		s.Sources = append(s.Sources, source)
	}
	for id, source := range p.pack.Sources {
		add(dashboards.Source{Source: id, Title: source.Title, Owner: source.Owner, Promise: source.Freshness})
	}
	for id := range events { // senders that the pack does not expect: a simulation, for one
		if _, expected := p.pack.Sources[id]; !expected {
			add(dashboards.Source{Source: id})
		}
	}
	slices.SortFunc(s.Sources, func(a, b dashboards.Source) int { return strings.Compare(a.Source, b.Source) })
	return s
}

// fault is something that is wrong now.
type fault struct {
	part  string // as the metric ombor_fault names it
	words string
}

// faultParts are what can have a fault, in the order in which they are told.
var faultParts = []string{"loader", "rollups", "engine", "journal", "erasure", "audit", "certificate", "disk"}

// faults are what is wrong now.
func (p *program) faults(loading, asking string) []fault {
	var list []fault
	if loading != "" {
		list = append(list, fault{"loader", "events are accepted but not loaded: " + loading})
	}
	if words, rebuilding := p.loader.Rebuilding(); rebuilding {
		list = append(list, fault{"loader", words})
	}
	for _, a := range p.warehouse.Aside() {
		list = append(list, fault{"rollups", a.String()})
	}
	if p.engine != nil && !p.engine.State().Serving {
		list = append(list, fault{"engine", "the engine is being started again: " + p.engine.State().LastExit})
	} else if asking != "" {
		list = append(list, fault{"engine", asking})
	}
	if !p.stream.Connected() {
		list = append(list, fault{"journal", "the journal's server cannot be reached: events are refused until it is back"})
	} else if words := p.journal.Refusing(); words != "" {
		list = append(list, fault{"journal", "events are refused: " + words})
	}
	if _, err := os.Stat(filepath.Join(p.config.Data, erasingFile)); err == nil {
		list = append(list, fault{"erasure", "the erasure of a person was interrupted, or is at work: 'ombor erase --resume' ends it"})
	}
	if words := p.audit.Fault(); words != "" {
		list = append(list, fault{"audit", words + ": 'ombor audit verify' tells more; only to give up what is lost, remove the file audit.head"})
	}
	if p.cert != nil {
		if words := p.cert.fault(); words != "" {
			list = append(list, fault{"certificate", words})
		}
	}
	if disk := examineDisk(p.config.Data); !disk.OK {
		list = append(list, fault{"disk", "the disk is nearly full: " + disk.Value + "; " + disk.Do})
	}
	return list
}

// problems are what is wrong now, in words, and what is not proven.
func (p *program) problems(loading, asking string) []string {
	var list []string
	for _, f := range p.faults(loading, asking) {
		list = append(list, f.words)
	}
	if proven, why := p.stream.Durability(); !proven {
		list = append(list, why)
	}
	return list
}

// metrics writes what this process counts, in the text format of Prometheus.
func (p *program) metrics(out io.Writer) error {
	var b strings.Builder
	kind := func(name, kind string) { fmt.Fprintf(&b, "# TYPE %s %s\n", name, kind) }
	kind("ombor_events_total", "counter")
	for _, c := range p.loader.Status().Counts {
		for _, o := range []struct {
			outcome string
			n       uint64
		}{{"accepted", c.Accepted}, {"duplicate", c.Duplicate}, {"conflict", c.Conflict}, {"damaged", c.Damaged}} {
			fmt.Fprintf(&b, "ombor_events_total{source=\"%s\",contract=\"%s\",outcome=\"%s\"} %d\n", label(c.Source), label(c.Contract), o.outcome, o.n)
		}
	}
	kind("ombor_fault", "gauge")
	wrong := p.faults(p.loader.Status().Trouble, p.snapshot.Load().trouble)
	for _, part := range faultParts {
		n := 0
		if slices.ContainsFunc(wrong, func(f fault) bool { return f.part == part }) {
			n = 1
		}
		fmt.Fprintf(&b, "ombor_fault{part=\"%s\"} %d\n", part, n)
	}
	kind("ombor_measure_aside", "gauge")
	for _, a := range p.warehouse.Aside() {
		for _, id := range a.KPIs {
			for _, rollup := range a.Rollups {
				fmt.Fprintf(&b, "ombor_measure_aside{kpi=\"%s\",rollup=\"%s\",reason=\"%s\"} 1\n", label(id), label(rollup), label(a.Reason))
			}
		}
	}
	loading := p.loader.Status()
	active := 0
	if loading.Role == loader.Active {
		active = 1
	}
	kind("ombor_loader_active", "gauge")
	fmt.Fprintf(&b, "ombor_loader_active %d\n", active)
	kind("ombor_loader_epoch", "gauge")
	fmt.Fprintf(&b, "ombor_loader_epoch %d\n", loading.Epoch)
	kind("ombor_loader_repaired_batches_total", "counter")
	fmt.Fprintf(&b, "ombor_loader_repaired_batches_total %d\n", loading.Repaired)
	door := p.door.Counts()
	kind("ombor_door_requests_total", "counter")
	fmt.Fprintf(&b, "ombor_door_requests_total{outcome=\"answered\"} %d\nombor_door_requests_total{outcome=\"failed\"} %d\n", door.Requests-min(door.Requests, door.Failed), door.Failed)
	kind("ombor_door_events_total", "counter")
	fmt.Fprintf(&b, "ombor_door_events_total{outcome=\"accepted\"} %d\nombor_door_events_total{outcome=\"held\"} %d\nombor_door_events_total{outcome=\"rejected\"} %d\n", door.Accepted, door.Held, door.Rejected)
	kind("ombor_door_bytes_total", "counter")
	fmt.Fprintf(&b, "ombor_door_bytes_total %d\n", door.Bytes)
	p.heldMetrics(&b)
	if p.engine != nil {
		state := p.engine.State()
		kind("ombor_engine_resident_bytes", "gauge")
		fmt.Fprintf(&b, "ombor_engine_resident_bytes %d\n", state.Resident)
		kind("ombor_engine_restarts_total", "counter")
		fmt.Fprintf(&b, "ombor_engine_restarts_total %d\n", state.Restarts)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// label escapes the value of a metric's label.
func label(text string) string {
	return strings.NewReplacer("\\", "\\\\", `"`, `\"`, "\n", `\n`).Replace(text)
}

// ready is nil when the server can do what its roles are: take events, serve figures, load
// or stand by. A door and an API go on when loading has stopped; status says so.
func (p *program) ready(ctx context.Context) error {
	if p.config.does("door") && !p.stream.Connected() {
		return problem.New(problem.Unavailable, "the journal's server cannot be reached")
	}
	if s := p.loader.Status(); p.config.Roles == "loader" && s.Role == loader.Stopped {
		return problem.New(problem.Unavailable, "%s", s.Trouble)
	}
	if words, rebuilding := p.loader.Rebuilding(); rebuilding {
		return problem.New(problem.Unavailable, "%s", words)
	}
	if p.engine != nil && !p.engine.State().Serving {
		return problem.New(problem.Unavailable, "the engine is being started again: %s", p.engine.State().LastExit)
	}
	return nil
}

// seedHash tells one set of seed events from another.
type seedHash struct{ hash.Hash }

func newSeedHash() seedHash { return seedHash{sha256.New()} }

func (h seedHash) add(event []byte) {
	_, _ = h.Write(event) // a hash never fails
	_, _ = h.Write([]byte{'\n'})
}

func (h seedHash) String() string { return hex.EncodeToString(h.Sum(nil)) }
