package kpi

// Formula is a sum of aggregates, each with a whole coefficient: the form that a
// signed ledger can retract. "sum(score) - count()" has two terms.
type Formula struct {
	Text  string // as written in the pack
	Terms []Term
}

// Term is one aggregate of a formula.
type Term struct {
	Coefficient int64
	Func        Func
	Of          string // SQL expression over the contract's fields and time; empty for Count
	If          string // SQL condition; empty: every row
}

// Func is an aggregate function.
type Func uint8

const (
	CountRows Func = iota + 1 // count(), countIf(condition)
	Sum                       // sum(x), sumIf(x, condition): integers and decimals only
	Min                       // min(x): read from facts
	Max                       // max(x): read from facts
)
