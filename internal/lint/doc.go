// Package lint holds the architecture as a test: which room may import which, and
// which third-party client belongs to which room. ARCHITECTURE.md has the table
// for people; imports_test.go has the same table for the machine.
package lint
