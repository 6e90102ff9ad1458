package contract

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"ombor/internal/reference"
)

// hold keeps the row aside as pseudonymised JSON.
func (b *Batch) hold() {
	r, t := &b.row, b.row.table
	h := Held{Index: b.index, ID: string(r.id), Source: string(r.source), Type: t.contract.Type, Time: time.UnixMilli(r.time).UTC(),
		Field: b.field, Code: strings.TrimPrefix(b.fault.code, "held "), Reason: b.fault.reason, Digest: r.digest, Key: hex.EncodeToString(r.key[:]), Revision: r.revision, Pseudonyms: b.version}
	data := map[string]any{}
	for i := range t.contract.Fields {
		f, v := &t.contract.Fields[i], &r.values[i]
		if !v.seen || !v.set { // what a default gave is found again
			continue
		}
		switch f.Type {
		case Person:
			data[f.Name] = hex.EncodeToString(v.p[:])
		case Timestamp:
			data[f.Name] = time.UnixMilli(v.i).UTC().Format(time.RFC3339Nano)
		case Date:
			data[f.Name] = reference.Day(v.i).String()
		case Integer, Money, Duration:
			data[f.Name] = v.i
		case Decimal:
			data[f.Name] = json.Number(spelled(v.i, f.Scale))
		case Boolean:
			data[f.Name] = v.i != 0
		case Number:
			data[f.Name] = v.float(f)
		default:
			data[f.Name] = string(v.s)
		}
	}
	event := map[string]any{"specversion": "1.0", "id": h.ID, "source": h.Source, "type": h.Type,
		"time": h.Time.Format(time.RFC3339Nano), "data": data}
	if r.revision > 0 {
		event["corrects"], event["revision"] = string(r.root), r.revision
	}
	if r.correct {
		event["onchange"] = "correct"
	}
	if r.simulated {
		event["simulated"] = true
	}
	h.Event, _ = json.Marshal(event) // strings, numbers and booleans always marshal
	b.held = append(b.held, h)
}

// spelled writes v × 10^-scale.
func spelled(v int64, scale int) string {
	s := strconv.FormatInt(v, 10)
	if scale == 0 {
		return s
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if len(s) <= scale {
		s = strings.Repeat("0", scale-len(s)+1) + s
	}
	return sign + s[:len(s)-scale] + "." + s[len(s)-scale:]
}
