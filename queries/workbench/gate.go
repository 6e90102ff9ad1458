package workbench

import (
	"context"
	"io"
	"net/http"

	"ombor/internal/access"
)

// Gate is the governed way to the data, as the workbench uses it. What it refuses is not run, and
// everything that it is asked is in the audit log first.
type Gate interface {
	// Ask begins one statement. An error is a refusal, or that the engine cannot be asked now; what
	// goes wrong later is an error of reading the answer. Closing it ends the statement.
	Ask(ctx context.Context, p *access.Principal, s Statement) (io.ReadCloser, error)
	// Estimate says what a statement would read, without running it.
	Estimate(ctx context.Context, p *access.Principal, s Statement) ([]Reading, error)
	// Schema is what may be asked of.
	Schema(ctx context.Context, p *access.Principal) (*Schema, error)
}

// Statement is one question to the gate.
type Statement struct {
	SQL        string
	Parameters map[string]string // for {name:Type}
	Format     string            // ClickHouse's name of a format
	ID         string            // under which it is known while it runs; empty: one is made
	From       *http.Request     // the request that asks, whose address the audit log tells; nil: nobody's
	Progress   func(Progress)    // called now and then while the statement runs, from another goroutine; nil: nobody asks
}

// Progress is how far a statement has come.
type Progress struct {
	ReadRows, ReadBytes uint64
	TotalRows           uint64 // that the engine expects to read; 0: not known
}

// Reading is what a statement would read of one table.
type Reading struct {
	Table string `json:"table"`
	Parts uint64 `json:"parts"`
	Rows  uint64 `json:"rows"`  // at most
	Bytes uint64 `json:"bytes"` // at most, as they lie on disk, all columns
}

// Schema is what may be asked of, for who completes a statement.
type Schema struct {
	Database  string   `json:"database"`
	Tables    []Table  `json:"tables"`
	Functions []string `json:"functions"` // that a statement may use
}

// Table is a view or table of the analysts' database.
type Table struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Columns []Column `json:"columns"`
}

// Column is one of a table. Type is ClickHouse's.
type Column struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	About string `json:"about"`
}
