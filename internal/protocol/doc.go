// Package protocol is ClickHouse's HTTP interface as a door speaks it, without what
// is behind the door. The embedded engine's front and the governed SQL door share
// it.
//
//	req, err := protocol.ParseRequest(r, protocol.Limits{})  // parameters, headers, form, decompressed body
//	answer := protocol.NewAnswer(w, req, identity)            // compression, held-back start, summary
//	if err != nil {
//		answer.Fail(err)                                       // Code: 62. DB::Exception: …
//		return
//	}
//	statement := protocol.Read(head)                          // verb, format, where data begins
//	…
//	answer.Format("CSV")
//	answer.Write(rows)
//	answer.Close()
//
// # Requests
//
// A parameter of the URL or form is the interface's own (query, database,
// session_id …), a bound value (param_*), part of an external table
// (<name>_structure …), or else a setting. Bodies may be compressed by
// Content-Encoding (gzip, deflate, br, zstd, lz4) and by ClickHouse's frames
// (decompress=1), which carry a checksum.
//
// # Exceptions
//
// Every error a client can cause is an [Exception] with ClickHouse's code. Before
// the status is sent it decides the status, with X-ClickHouse-Exception-Code; later
// it is a block at the end of the body that repeats the random tag of the header
// X-ClickHouse-Exception-Tag, so that rows cannot be mistaken for it:
//
//	\r\n__exception__\r\n<tag>\r\n<text>\n<length> <tag>\r\n__exception__\r\n
//
// # Native
//
// [Reframe] changes a block of revision 0 into one of the client's revision without
// decoding a value.
//
// Nothing here judges SQL: [Read] only finds where things are.
package protocol
