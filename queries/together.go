package queries

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"ombor/internal/problem"
)

// gathering lets questions that are answered at once ask together: it waits until each of
// them has asked or gone without, and makes one statement of those that read the same
// rows. A statement costs the engine ten times what a few columns more cost it.
type gathering struct {
	queries *Queries
	atOnce  int // statements

	mu    sync.Mutex
	left  int // questions that have neither asked nor gone
	asked []*asked
}

type asked struct {
	ctx       context.Context
	statement *statement
	found     map[key]*sums
	err       error
	done      chan struct{}
}

// seat is the place of one question, whose first statement is asked together with others.
// Its holder gives it up in the end.
type seat struct {
	*gathering
	once sync.Once
}

func (g *gathering) seat() *seat { return &seat{gathering: g} }

func (s *seat) ask(ctx context.Context, statement *statement) (map[key]*sums, error) {
	a := &asked{ctx: ctx, statement: statement, done: make(chan struct{})}
	taken := true
	s.once.Do(func() { taken = false; s.count(a) })
	if taken { // a second statement waits for nobody
		return s.queries.read(ctx, statement)
	}
	select {
	case <-a.done:
		return a.found, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *seat) giveUp() { s.once.Do(func() { s.count(nil) }) }

func (g *gathering) count(a *asked) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left--; a != nil {
		g.asked = append(g.asked, a)
	}
	if g.left == 0 {
		go g.answer()
	}
}

// answer runs what was asked, each set of statements over the same rows as one.
func (g *gathering) answer() {
	var order []string
	sets := map[string][]*asked{}
	for i, a := range g.asked {
		key := fmt.Sprint(i)
		if s := a.statement; s.parts != nil {
			key = fmt.Sprint(s.from, groups(s.parts), s.params)
		}
		if sets[key] == nil {
			order = append(order, key)
		}
		sets[key] = append(sets[key], a)
	}
	var group errgroup.Group
	group.SetLimit(g.atOnce)
	for _, key := range order {
		group.Go(func() error { g.queries.together(sets[key]); return nil })
	}
	_ = group.Wait() // each error is with those who asked
}

// together answers a set. What one of the statements is refused for spoils none of the
// others: then each is run by itself.
func (q *Queries) together(set []*asked) {
	statements := make([]*statement, len(set))
	for i, a := range set {
		statements[i] = a.statement
	}
	if len(set) > 1 {
		found, err := q.readJoint(set[0].ctx, joint(statements, q.maxCells), len(set))
		kind := problem.KindOf(err)
		if err == nil || set[0].ctx.Err() != nil || kind == problem.Busy || kind == problem.Unavailable {
			for i, a := range set {
				a.found, a.err = found[i], err
				close(a.done)
			}
			return
		}
	}
	for _, a := range set {
		a.found, a.err = q.read(a.ctx, a.statement)
		close(a.done)
	}
}

// groups are the expressions that the parts are grouped by.
func groups(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.join == "" {
			b.WriteString(p.inner + " AS " + p.name + ", ")
		}
	}
	return b.String()
}

// joint is one statement for several that read the same rows, grouped alike.
func joint(list []*statement, limit int) *statement {
	first := list[0]
	s := &statement{params: first.params, table: first.table, from: first.from}
	for _, p := range first.parts {
		if p.join == "" {
			s.parts, s.of = append(s.parts, p), append(s.of, 0)
		}
	}
	for i, other := range list {
		for _, p := range other.parts {
			if p.join != "" {
				p.name += strconv.Itoa(i + 1)
				s.parts, s.of = append(s.parts, p), append(s.of, i)
			}
		}
	}
	for _, p := range s.parts {
		s.columns = append(s.columns, p.is)
	}
	s.sql = selectSQL(s.parts, s.from) + orderSQL(s.parts) + fmt.Sprintf("\nLIMIT %d", limit+1)
	return s
}
