// Package engine runs ClickHouse inside Ombor: libchdb in a child process, behind
// ClickHouse's own HTTP interface on a Unix socket.
//
//	p, err := engine.Start(ctx, engine.Config{Path: "data/engine"})
//	…
//	defer p.Close()
//	conn, err := clickhouse.Open(&clickhouse.Options{
//		Protocol:    clickhouse.HTTP,
//		Addr:        []string{"engine:80"},
//		DialContext: p.Dial,
//	})
//
// # Parent
//
// [Start] runs this program again with the subcommand `engine` ([Command]; main
// calls [RunChildIfAsked] first) and waits until it serves. [Process] keeps it
// running: a child that dies is started again, after 0.1 s, then 0.2 s, up to 10 s;
// [Process.State] tells how it does. A fault in native code takes the child, never
// the parent. The child ends with its parent, however the parent ends: it holds a
// pipe, and the kernel sends it SIGTERM.
//
// # Child
//
// [Serve] loads the library ([FindLibrary]), writes the engine's configuration into
// the data folder (subfolder ombor), opens the folder and serves. A second process
// on the same folder is refused by the engine's lock. The zone is UTC.
//
// Each request has a connection of its own, made in 0.2 ms: settings, database and
// temporary tables of one request never reach another. A session_id keeps its
// connection; settings in the URL are taken back after each request all the same.
// At most Config.MaxConcurrent statements run; others wait, and are answered 503
// with Retry-After and code 202 when the wait is too long. A query whose client
// has gone is killed.
//
// # INSERT
//
// Data never travels in the text of a statement (see insert.go for what happens
// when it does). Up to Config.InsertLimit bytes it is read to its end first and
// becomes one block: with one partition touched, it is in its table as a whole or
// not at all, also when the client breaks off or the body is damaged. What is
// larger streams through in constant memory, block by block; when it breaks off,
// whole blocks that were written before stay.
//
// # Answers
//
// Answers stream where the format allows it (formats.go); JSON, Parquet and others
// that have a frame around all rows are made in the engine's memory. Native goes
// out at the revision the client asks for ([protocol.Reframe]). docs/engine.md has
// what is and is not served, and how that was measured.
package engine
