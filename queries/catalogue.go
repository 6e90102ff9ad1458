package queries

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// Description is what was known of one code of a reference table at the end of a day.
type Description struct {
	Code      string
	Since     time.Time // when it became so
	Simulated bool
	Values    map[string]string // by field of the contract; a field that was not told is not there
}

// Descriptions are the latest descriptions of the codes of a table at the end of a day, from
// the events of the contract that changes it, by code: as known at the end of knownOn (0 and
// NoDay: everything received). Corrected and withdrawn events are settled; a code that an
// event took out of force (active false) is not there. fields are those of the contract
// besides the code. It is nil without an error when no event of that contract was received
// by knownOn: then the table itself is all that is known.
func (q *Queries) Descriptions(ctx context.Context, table *reference.Table, on, knownOn reference.Day) (list []Description, fields []string, err error) {
	c := q.warehouse.Contract(table.History)
	if table.History == "" || c == nil {
		return nil, nil, nil
	}
	if knownOn = open(knownOn); knownOn > q.calendar.Today(q.now()) {
		return nil, nil, bad("known_on", "%s is after today, %s", knownOn, q.calendar.Today(q.now()))
	}
	code := ""
	var columns []string
	for i := range c.Fields {
		f := &c.Fields[i]
		switch {
		case code == "" && f.Type == contract.Ref && f.To == table.Name:
			code = f.Name
		case f.Class == contract.Open && f.Type != contract.Person:
			fields = append(fields, f.Name)
			columns = append(columns, "if("+present(c, f.Name)+", assumeNotNull(toString("+quote(f.Name)+")), '')")
		}
	}
	if code == "" {
		return nil, nil, problem.New(problem.Internal, "queries: %s changes the table %s, but has no field that refers to it", c.Type, table.Name)
	}
	qn := &question{knownOn: knownOn}
	params := bind{}
	conditions := append(qn.known(params), q.live(c, qn, params))
	day := params.day("on", on)
	sql := fmt.Sprintf("SELECT %s AS Code, countIf(_day <= %s) AS Known, argMaxIf(tuple(time, _simulated, [%s]), tuple(time, _seq), _day <= %s) AS State\nFROM %s\nWHERE %s\nGROUP BY Code\nORDER BY Code",
		quote(code), day, strings.Join(columns, ", "), day, q.warehouse.Facts(c), and(conditions))
	sql = "SELECT Code, Known, tupleElement(State, 1), tupleElement(State, 2), tupleElement(State, 3) FROM (" + sql + ")"
	any := false
	err = q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		d := Description{Values: map[string]string{}}
		var known uint64
		var values []string
		if err := scan(&d.Code, &known, &d.Since, &d.Simulated, &values); err != nil {
			return err
		}
		any = true
		if known == 0 {
			return nil
		}
		for i, v := range values {
			if v != "" {
				d.Values[fields[i]] = v
			}
		}
		if d.Values["active"] != "false" {
			list = append(list, d)
		}
		return nil
	})
	if err != nil || !any {
		return nil, nil, err
	}
	if list == nil {
		list = []Description{}
	}
	return list, fields, nil
}
