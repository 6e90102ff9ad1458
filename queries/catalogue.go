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
	d, params, err := q.described(table, knownOn)
	if d == nil || err != nil {
		return nil, nil, err
	}
	day := params.day("on", on)
	sql := fmt.Sprintf("SELECT %s AS Code, countIf(_day <= %s) AS Known, argMaxIf(tuple(time, _simulated, [%s]), tuple(time, _seq), _day <= %s) AS State\nFROM %s\nWHERE %s\nGROUP BY Code\nORDER BY Code",
		quote(d.code), day, d.columns, day, d.facts, d.conditions)
	sql = "SELECT Code, Known, tupleElement(State, 1), tupleElement(State, 2), tupleElement(State, 3) FROM (" + sql + ")"
	any := false
	err = q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		var one Description
		var known uint64
		var values []string
		if err := scan(&one.Code, &known, &one.Since, &one.Simulated, &values); err != nil {
			return err
		}
		any = true
		if known == 0 {
			return nil
		}
		if one.Values = d.told(values); one.Values["active"] != "false" {
			list = append(list, one)
		}
		return nil
	})
	if err != nil || !any {
		return nil, nil, err
	}
	if list == nil {
		list = []Description{}
	}
	return list, d.fields, nil
}

// History are the descriptions of one code of a table in the order of their time, from the
// same events as [Queries.Descriptions] and settled in the same way: each holds from its
// Since until that of the next. Of several of one moment the one received last is told. A
// description with active false is told too: from then on the code is out of force. It is empty
// where no event speaks of the code, or none changes the table.
func (q *Queries) History(ctx context.Context, table *reference.Table, code string, knownOn reference.Day) (list []Description, fields []string, err error) {
	d, params, err := q.described(table, knownOn)
	if d == nil || err != nil {
		return nil, nil, err
	}
	params["code"] = code
	sql := fmt.Sprintf("SELECT time, argMax(tuple(_simulated, [%s]), _seq) AS State\nFROM %s\nWHERE %s AND %s = {code:String}\nGROUP BY time",
		d.columns, d.facts, d.conditions, quote(d.code))
	sql = "SELECT time, tupleElement(State, 1), tupleElement(State, 2) FROM (" + sql + ") ORDER BY time"
	err = q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		one := Description{Code: code}
		var values []string
		if err := scan(&one.Since, &one.Simulated, &values); err != nil {
			return err
		}
		one.Values = d.told(values)
		list = append(list, one)
		return nil
	})
	return list, d.fields, err
}

// describing is how the events that change a table are read.
type describing struct {
	code       string   // the field that refers to the table
	fields     []string // the others that may be told
	columns    string   // expressions of fields as text, '' where nothing was told
	facts      string
	conditions string // events that hold, as known
}

// told are the values of fields that an event tells.
func (d *describing) told(values []string) map[string]string {
	told := map[string]string{}
	for i, v := range values {
		if v != "" {
			told[d.fields[i]] = v
		}
	}
	return told
}

// described says how to read the descriptions of a table as known at the end of a day, with
// the parameters that this binds; nil where no event changes the table.
func (q *Queries) described(table *reference.Table, knownOn reference.Day) (*describing, bind, error) {
	c := q.warehouse.Contract(table.History)
	if table.History == "" || c == nil {
		return nil, nil, nil
	}
	if knownOn = open(knownOn); knownOn > q.calendar.Today(q.now()) {
		return nil, nil, bad("known_on", "%s is after today, %s", knownOn, q.calendar.Today(q.now())).
			Also("uz", "Bu kun hali kelmagan: bugun — %s.", q.calendar.Today(q.now())).
			Also("ru", "Этот день ещё не наступил: сегодня %s.", q.calendar.Today(q.now()))
	}
	d := &describing{facts: q.warehouse.Facts(c)}
	var columns []string
	for i := range c.Fields {
		f := &c.Fields[i]
		switch {
		case d.code == "" && f.Type == contract.Ref && f.To == table.Name:
			d.code = f.Name
		case f.Class == contract.Open && f.Type != contract.Person:
			d.fields = append(d.fields, f.Name)
			columns = append(columns, "if("+present(c, f.Name)+", assumeNotNull(toString("+quote(f.Name)+")), '')")
		}
	}
	if d.code == "" {
		return nil, nil, problem.New(problem.Internal, "queries: %s changes the table %s, but has no field that refers to it", c.Type, table.Name)
	}
	d.columns = strings.Join(columns, ", ")
	qn := &question{knownOn: knownOn}
	params := bind{}
	d.conditions = and(append(qn.known(params), q.live(c, qn, params)))
	return d, params, nil
}
