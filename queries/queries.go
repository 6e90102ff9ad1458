// Package queries turns a KPI and its parameters into bound SQL over the smallest
// table that fits, and what comes back into cells with a state, coverage,
// freshness and a comparison.
package queries

import (
	"context"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// Options are what a pack and the operator decide. The zero value works.
type Options struct {
	K        int              // distinct persons that a cell needs to be shown; 0 is 10, less than 5 is 5
	Now      func() time.Time // nil is time.Now
	MaxCells int              // cells of one answer; 0 is 100,000
}

// Queries answers for the KPIs of one pack. It is safe for concurrent use.
type Queries struct{}

// New makes the answers of a pack: its KPIs are those that w was opened with. A
// nil refs has no reference tables.
func New(w *warehouse.Warehouse, kpis []*kpi.KPI, refs *reference.Set, options Options) *Queries {
	return &Queries{}
}

// Values answers one request. An unknown KPI is NotFound; an unknown dimension,
// value, grain, version or a period that cannot be is BadInput, names the
// parameter and lists what is allowed.
func (q *Queries) Values(ctx context.Context, r Request) (*Result, error) {
	return nil, problem.New(problem.Internal, "queries: being built")
}

// ScorecardRequest asks for every KPI at once.
type ScorecardRequest struct {
	From, To reference.Day       // as in Request
	Where    map[string][]string // KPIs without one of the dimensions are left out
	KnownOn  reference.Day
}

// Scorecard is every KPI with its value, its last 13 months, and its owner.
type Scorecard struct {
	DataThrough *time.Time `json:"data_through"`
	Simulated   bool       `json:"simulated"`
	Rows        []Row      `json:"rows"`
}

// Row is one KPI of a scorecard.
type Row struct {
	KPI         string          `json:"kpi"`
	Group       string          `json:"group"`
	Title       reference.Names `json:"title"`
	Unit        string          `json:"unit"`
	Direction   string          `json:"direction"`
	Owner       string          `json:"owner"`
	Basis       string          `json:"basis"`
	Cell        Cell            `json:"cell"`   // the whole period, compared with the one before
	Months      []Cell          `json:"months"` // the last 13 months, the oldest first; none for windows
	Targets     []Target        `json:"targets"`
	DataThrough *time.Time      `json:"data_through"`
	Problem     string          `json:"problem,omitempty"` // why there is no figure, when the KPI could not be computed
}

// Target is a published target held against the figure.
type Target struct {
	Comparator string   `json:"comparator"` // "at_least" or "at_most"
	Value      float64  `json:"value"`
	Due        Date     `json:"due"`
	DueStated  bool     `json:"due_stated"`
	Act        string   `json:"act"`
	Wording    string   `json:"wording"`
	Owner      string   `json:"owner"`
	Gap        *float64 `json:"gap"`    // what is missing, in the KPI's unit; 0 or less: met
	Status     string   `json:"status"` // "on_course", "off_course", "reached", "missed", "no_judgement"
}

// Scorecard answers for every KPI. One KPI that fails does not spoil the others:
// its row says why.
func (q *Queries) Scorecard(ctx context.Context, r ScorecardRequest) (*Scorecard, error) {
	return nil, problem.New(problem.Internal, "queries: being built")
}

// Status is what the warehouse holds.
func (q *Queries) Status(ctx context.Context) (*warehouse.Status, error) {
	return nil, problem.New(problem.Internal, "queries: being built")
}
