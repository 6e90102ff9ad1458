// Package queries turns a KPI and its parameters into bound SQL over the smallest
// table that fits, and what comes back into cells with a state, coverage, freshness and
// a comparison.
//
//	q := queries.New(w, p.KPIs, p.Reference, queries.Options{Targets: p.Targets, K: p.K})
//	result, err := q.Values(ctx, queries.Request{KPI: "online-processing-share", From: from, To: to,
//		Grain: queries.Month, By: []string{"region"}, Compare: queries.YearBefore})
//
// # What stands on what
//
// A KPI on events is summed from a rollup, or from facts where none fits; the choice
// and the SQL are in [Result.Plan]. Ratios are divided last: the value of any cell is Σ
// numerator ÷ Σ denominator of its rows. Quantiles come from buckets, within ±1 %. Minimum,
// maximum and distinct counts are read from facts.
//
// A stock is counted on a day: the latest description of each key up to the end of that
// day. The value of a period is the one at its end, or today's while it has not ended; it
// is compared with the end of the period before, or of a month before when the period has
// no beginning.
//
// Reported figures keep their windows. A period is answered by the windows inside it:
// added up when they follow each other without gap or overlap, else one cell for each.
//
// # Nothing and zero
//
// What is made of several contracts (sides, matches, backlogs) while much is being loaded is open
// and says so: the contracts' rollups follow one after the other, and a ratio of two of them
// may be nonsense for a moment.
//
// Periods without rows are there. When no source sent anything for a period its state
// is not_provided; when some did, or closed it as one without events, a count is zero and a ratio not_applicable (no_cases).
//
// # Who was to report
//
// Coverage counts senders: the source that each contract names is expected in every
// period, silent or not; any other sender is from its first row on. A sender called
// simulation/<source> stands in for that source, and the words say that it does. Where a
// definition has formulae covered and expected, of reported figures or of stocks, coverage
// counts their units instead; a stock of which no unit is known is not provided.
//
// # The scorecard
//
// [Queries.Scorecard] asks for a period, the one before and the months of a KPI in one
// statement, and puts KPIs that read the same table into one.
//
// # Open, closed, published
//
// A period is open until every source of the contracts has closed it, or its deadline has
// passed (closing.go). [Queries.Publish] works out what is to be published then, figures and
// masks, as events; who calls it brings them into the journal. With [Outside] a question is
// answered from these alone, and so are figures of contracts with special fields to anybody.
//
// # What moved a figure
//
// A ratio R = Σn ÷ Σd over units (services, say) changes for three reasons, and the
// change is the sum of three parts, exactly. Period 0 is the earlier one. Of the units that
// have cases in both periods, B, let w = d ÷ Σd over B be the weight of a unit, r = n ÷ d
// its rate, and B0, B1 the ratio over B alone in each period. Then R1 − R0 is
//
//	reported  (R1 − B1) + (B0 − R0)       who reported: units with cases in one period only
//	mix       Σ (w1 − w0) · (r0 + r1)/2   which of the units in both were used
//	rates     Σ (r1 − r0) · (w0 + w1)/2   the units in both themselves
//
// Each mean of before and after makes the parts the same whichever is taken first (the
// Shapley value of the two factors), and turned round when the periods are. A unit's share
// of a part is
//
//	reported  (n1 − d1·B1) ÷ D1, or (d0·B0 − n0) ÷ D0
//	mix       (w1 − w0) · ((r0 + r1)/2 − (B0 + B1)/2)
//	rates     (r1 − r0) · (w0 + w1)/2
//
// where D is Σd over all; the mean of B0 and B1 changes no sum, since Σw is 1, and says that
// a unit better than the rest raises the ratio by growing. Without any unit in both, (R0 +
// R1)/2 stands for B0 and B1. A count has the parts appeared (Σn1 of units that were not
// there), gone (−Σn0 of those that are no more) and same (Σ(n1 − n0) of the others).
//
// Everything is computed in exact fractions. What is shown is rounded so that it adds up:
// the change is the difference of the two values as shown, the parts add up to it and the
// units of a part to the part (largest remainders).
//
// Units that disclosure hides in one of the two periods, and what is not provided unit by
// unit, are taken together, as one that is never named. So nothing here is computed from more than the two tables of
// values by unit and their totals, which have their own masks.
//
// # Few persons
//
// Where a definition names its persons, package disclosure decides which cells are
// hidden; a hidden cell has no numbers at all, and no comparison.
package queries

import (
	"sync"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// Options are what a pack and the operator decide. The zero value works.
type Options struct {
	Targets  []*kpi.Target    // what was published about the KPIs
	K        int              // distinct persons that a cell needs to be shown; 0 is 10, less than 5 is 5
	Now      func() time.Time // nil is time.Now
	MaxCells int              // cells of one answer; 0 is 100,000

	Closing map[string]time.Duration   // how long a period waits for a source to close it; 0: until events from after its end have come
	Titles  map[string]reference.Names // of sources; without one it is told by its name
	Systems map[string]string          // agency that owns each source: its are the rows of contracts that name no agency
	// Loaded is a number that changes after events were loaded, and in no other way; it is asked for
	// every answer. Who sent what is remembered while it stays. Nil: nothing is remembered.
	Loaded func() uint64
	// Arriving says whether so much is being loaded that contracts may not have come equally far: figures
	// made of several of them are then open. It is asked for every answer. Nil: never.
	Arriving func() bool
}

// Queries answers for the KPIs of one pack. It is safe for concurrent use.
type Queries struct {
	warehouse *warehouse.Warehouse
	catalogue *kpi.Catalogue
	refs      *reference.Set
	calendar  calendar
	k         int
	now       func() time.Time
	maxCells  int
	deadlines map[string]time.Duration
	titles    map[string]reference.Names
	systems   map[string]string
	looked    map[string]string // what Publish has looked at: KPI, version and year → as of when

	arriving func() bool
	loaded   func() uint64
	memory   struct {
		sync.Mutex
		shared *shared
		loaded uint64
	}
	known struct {
		sync.Mutex
		cards map[string]*Scorecard // of what was known on earlier days, by request
	}
}

// New makes the answers of a pack. kpis are those that w was opened with, so that their
// rollups are there. A nil refs has no reference tables. With a K above
// the warehouse's [warehouse.Config.Persons] persons are counted from facts, which is slow:
// rollups count no further.
func New(w *warehouse.Warehouse, kpis []*kpi.KPI, refs *reference.Set, options Options) *Queries {
	q := &Queries{warehouse: w, catalogue: kpi.NewCatalogue(kpis, options.Targets), refs: refs, k: options.K, now: options.Now, maxCells: options.MaxCells,
		deadlines: options.Closing, titles: options.Titles, systems: options.Systems, looked: map[string]string{}, loaded: options.Loaded, arriving: options.Arriving}
	if q.arriving == nil {
		q.arriving = func() bool { return false }
	}
	days := *refs.Calendar()
	days.Zone = w.Zone()
	q.calendar = calendar{&days}
	if q.k == 0 {
		q.k = 10
	}
	q.k = max(q.k, 5)
	if q.now == nil {
		q.now = time.Now
	}
	if q.maxCells == 0 {
		q.maxCells = 100_000
	}
	return q
}
