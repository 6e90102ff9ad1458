package workbench

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/redact"
)

// State is how far a run has come, or how it ended.
type State string

const (
	Running   State = "running"
	Done      State = "done"
	Cut       State = "cut"       // the result is not whole: a limit ended it
	Cancelled State = "cancelled" // by its person, or because nobody waited for it any more
	Failed    State = "failed"
)

// Run is a statement that runs or ran.
type Run struct {
	ID         string            `json:"id"`
	SQL        string            `json:"sql"`
	Parameters map[string]string `json:"parameters"`
	Query      string            `json:"query"`  // the saved query that it was; empty: none
	Format     string            `json:"format"` // of an export; rows: shown on the page
	Began      time.Time         `json:"began"`
	Seconds    float64           `json:"seconds"` // since it began, or that it took
	State      State             `json:"state"`
	Rows       uint64            `json:"rows"`       // of the result
	Bytes      uint64            `json:"bytes"`      // of the result, as it was sent
	ReadRows   uint64            `json:"read_rows"`  // by the engine
	ReadBytes  uint64            `json:"read_bytes"` // by the engine
	TotalRows  uint64            `json:"total_rows"` // that the engine expects to read; 0: not known
	Problem    string            `json:"problem"`    // of a run that was cut or failed, in English or in the engine's words

	Words map[string]string `json:"words,omitempty"` // what is to be done about Problem, by language
}

// running is a run of this process.
type running struct {
	who    string
	run    Run
	cancel context.CancelCauseFunc
}

// ErrCancelled is the cause with which a run's context ends that was cancelled.
var ErrCancelled = problem.New(problem.Conflict, "the statement was cancelled").
	Also("uz", "Soʻrov bekor qilindi.").
	Also("ru", "Запрос отменён.")

// Begin notes a run that is about to begin and returns it with its ID, a context that
// [Workbench.Cancel] ends, and a function that has to be called when it is over, with what came of
// it: state, rows, bytes, what was read and the problem. The run is in the person's history
// from then on. Busy: the person runs as many statements as one may.
func (b *Workbench) Begin(ctx context.Context, p *access.Principal, r Run) (Run, context.Context, func(Run), error) {
	r.ID, r.Began, r.State = newID(), b.now().UTC().Truncate(time.Millisecond), Running
	if r.Parameters == nil {
		r.Parameters = map[string]string{}
	}
	inner, cancel := context.WithCancelCause(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	own := 0
	for _, other := range b.running {
		if other.who == p.ID {
			own++
		}
	}
	if own >= MaxRunning {
		cancel(nil)
		return Run{}, nil, nil, problem.New(problem.Busy, "you run %d statements, as many as one may at once; wait for one, or cancel it", own).
			Also("uz", "Sizda %d ta soʻrov bajarilmoqda, bir vaqtda bundan koʻp mumkin emas: birini kuting yoki bekor qiling.", own).
			Also("ru", "У вас уже выполняется запросов: %d, больше одновременно нельзя; дождитесь одного или отмените его.", own)
	}
	b.running[r.ID] = &running{who: p.ID, run: r, cancel: cancel}
	return r, inner, func(end Run) {
		end.ID, end.SQL, end.Parameters, end.Query, end.Format, end.Began = r.ID, r.SQL, r.Parameters, r.Query, r.Format, r.Began
		end.Seconds = b.now().Sub(r.Began).Seconds()
		cancel(nil)
		// The person may have gone; what was run is noted all the same.
		keep, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer stop()
		if err := b.keep(keep, p, end); err != nil {
			slog.Warn("workbench: a run is missing from its person's history; the audit log has it", "run", end.ID, "err", err)
		}
		b.mu.Lock()
		delete(b.running, r.ID)
		b.mu.Unlock()
	}, nil
}

// Progress notes how far a run of this process has come.
func (b *Workbench) Progress(id string, readRows, readBytes, totalRows uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.running[id]; r != nil {
		r.run.ReadRows, r.run.ReadBytes, r.run.TotalRows = readRows, readBytes, totalRows
	}
}

// Cancel ends a run of p's own; an operator may end anybody's. NotFound: none such runs in this
// process.
func (b *Workbench) Cancel(p *access.Principal, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.running[id]
	if r == nil || r.who != p.ID && !p.Is(access.Operator) {
		return problem.New(problem.NotFound, "no statement %q of yours runs here", id).
			Also("uz", "Sizning “%s” soʻrovingiz bu yerda bajarilmayapti.", id).
			Also("ru", "Ваш запрос «%s» здесь не выполняется.", id)
	}
	r.cancel(ErrCancelled)
	return nil
}

// live is a copy of a run as it is now.
func (b *Workbench) live(r *running) Run {
	run := r.run
	run.Seconds = b.now().Sub(run.Began).Seconds()
	return run
}

// Runs are those of p, running ones included, the newest first.
func (b *Workbench) Runs(ctx context.Context, p *access.Principal) ([]Run, error) {
	// Those that run are looked up first: one that ends meanwhile is then in the history.
	b.mu.Lock()
	var now []Run
	for _, r := range b.running {
		if r.who == p.ID {
			now = append(now, b.live(r))
		}
	}
	b.mu.Unlock()
	list, _, err := b.history(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, r := range now {
		if !slices.ContainsFunc(list, func(kept Run) bool { return kept.ID == r.ID }) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b Run) int { return b.Began.Compare(a.Began) })
	return list, nil
}

// Run is one of p's; NotFound when there is none, or it was so long ago that it is forgotten.
func (b *Workbench) Run(ctx context.Context, p *access.Principal, id string) (*Run, error) {
	list, err := b.Runs(ctx, p)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID == id {
			return &list[i], nil
		}
	}
	return nil, problem.New(problem.NotFound, "there is no run %q of yours; the newest %d are kept", id, KeptRuns).
		Also("uz", "Sizda “%s” bajarilishi yoʻq; oxirgi %d tasi saqlanadi.", id, KeptRuns).
		Also("ru", "У вас нет выполнения «%s»; хранятся последние %d.", id, KeptRuns)
}

// history is what p ran and is over, the newest first, with the revision of its key.
func (b *Workbench) history(ctx context.Context, p *access.Principal) ([]Run, uint64, error) {
	list := []Run{}
	value, revision, err := b.bucket.Get(ctx, personKey(p))
	if err != nil && problem.KindOf(err) == problem.NotFound {
		return list, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, 0, problem.Wrap(err, problem.Internal, "workbench: history", "the history cannot be read")
	}
	return list, revision, nil
}

// keep adds a run to its person's history and lets the oldest go.
func (b *Workbench) keep(ctx context.Context, p *access.Principal, r Run) error {
	r.SQL, r.Problem = redact.Text(r.SQL), redact.Text(r.Problem)
	parameters := map[string]string{}
	for name, value := range r.Parameters {
		parameters[name] = redact.Text(value)
	}
	r.Parameters = parameters
	for {
		list, revision, err := b.history(ctx, p)
		if err != nil {
			return err
		}
		list = slices.Insert(list, 0, r)
		var kept []json.RawMessage
		size := 0
		for i := range list[:min(len(list), KeptRuns)] {
			text, err := encode(&list[i])
			if err != nil {
				return err
			}
			if size += len(text); size > keptBytes && i > 0 {
				break
			}
			kept = append(kept, text)
		}
		value, err := encode(kept)
		if err != nil {
			return err
		}
		if _, err = b.bucket.Update(ctx, personKey(p), value, revision); err == nil || problem.KindOf(err) != problem.Conflict {
			return err
		}
		// Another run of the same person ended at the same time: look again.
	}
}

// IsRedacted says whether a run of a history lacks something that is not kept, so that running it
// again would ask something else.
func IsRedacted(r *Run) bool {
	lacks := redact.Lacks(r.SQL)
	for _, value := range r.Parameters {
		lacks = lacks || redact.Lacks(value)
	}
	return lacks
}
