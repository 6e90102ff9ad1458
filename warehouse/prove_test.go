package warehouse_test

import (
	"context"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// checks are those of `ombor pack check`.
func checks(t *testing.T) pack.Checks {
	ctx := context.Background()
	w := warehousetest.Open(t, setOf(t), nil)
	return pack.Checks{
		Expression: func(sql string, columns []string) error { return w.Check(ctx, sql, columns) },
		Prove: func(set *contract.Set, kpis []*kpi.KPI) ([]kpi.Fault, error) {
			prover, err := warehouse.Open(ctx, warehousetest.Config(t, warehousetest.Prefix()), set, kpis)
			if err != nil {
				return nil, err
			}
			defer prover.Close()
			return prover.Prove(ctx)
		},
	}
}

// TestShippedPacksCanBeComputed holds every formula of the packs that we ship against every
// value that an event can have. The server does not prove the built-in one again.
func TestShippedPacksCanBeComputed(t *testing.T) {
	packs := map[string]fs.FS{}
	for _, name := range []string{"boston", "canada", "epa", "itdashboard", "uk", "whole", "xroad"} {
		packs[name] = os.DirFS("../internal/pack/testdata/" + name)
	}
	var err error
	if packs["uz"], err = pack.Embedded("uz"); err != nil {
		t.Fatal(err)
	}
	for name, files := range packs {
		if _, err := pack.Read(files, checks(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const visits = `type: ql.visit.made.v1
title: {en: Visit}
source: clinics
fields:
  island: {type: ref, to: islands, required: true}
  kind: {type: enum, values: [gp, nurse], required: true}
  note: {type: text}
  minutes: {type: integer, required: true}
  waited: {type: integer}
  fee: {type: money}
  share: {type: decimal, scale: 2}
  dose: {type: decimal, scale: 9}
  weight: {type: number}
  seen: {type: boolean}
examples:
  - {time: "2024-05-02T09:30:00Z", island: A, kind: gp, minutes: 3}
`

// visited is a pack of one contract and of one KPI, with a version as it is given.
func visited(version string) fstest.MapFS {
	files := map[string]string{
		"pack.yaml": "name: ql\nprefix: ql.\ntitle: {en: Islands}\nlanguages: [en]\nzone: Pacific/Auckland\ncurrency: NZD\ncalendar: {week: [monday]}\n" +
			"sources:\n  clinics: {title: {en: Clinics}}\nreference:\n  islands: {file: islands.csv, key: code}\n  organisations: {file: organisations.csv, key: code}\n",
		"reference/islands.csv":       "code,name_en\nA,North\nB,South\n",
		"reference/organisations.csv": "code,name_en\nboard,Board of clinics\n",
		"contracts/visit.yaml":        visits,
		"labels/en.yaml":              "group.health: Health\nunit.point: points\n",
		"kpis/visits.yaml": "id: visits\ntitle: {en: Visits}\nabout: {en: Visits made.}\ngroup: health\nowner: board\nunit: point\ndirection: up\nversions:\n" +
			"  - version: 1\n    source: Order 1\n    from: visit.made\n    rollups: [[island], [kind]]\n" + version,
	}
	pack := fstest.MapFS{}
	for name, text := range files {
		pack[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return pack
}

func TestFormulaeThatCannotBeComputed(t *testing.T) {
	checks := checks(t)
	for version, want := range map[string]string{
		// What fails for some value of a field.
		"numerator: sum(intDiv(fee, minutes))":                         "intDivOrZero",
		"numerator: sum(intDiv(fee, minutes - 5))":                     "intDivOrZero",
		"numerator: countIf(fee % minutes = 1)":                        "moduloOrZero",
		"numerator: countIf(share / dose > 2)":                         "divide by a number",
		"numerator: \"countIf(share / greatest(dose, dose + 1) > 2)\"": "divide by a number",
		"numerator: sum(share * toDecimal64('0.25', 2))":               "toDecimal128",
		"numerator: sum(share - dose)":                                 "toDecimal128",
		"numerator: countIf(share = dose)":                             "toDecimal128",
		"numerator: sum(toDecimal64(minutes, 9))":                      "toDecimal128",
		"numerator: sum(toInt64(note))":                                "toInt64OrNull",
		// What would wrap without a word.
		"numerator: sum(fee * minutes)":                                      "64 bits are too few",
		"numerator: sum(intDiv(fee * minutes, 1000000000000000))":            "64 bits are too few",
		"numerator: \"sumIf(fee * 2000, seen)\"":                             "64 bits are too few",
		"numerator: sum(toDecimal128(fee, 0) * minutes)":                     "a million million",
		"numerator: sum(if(note = '7', toInt64(note), 0))":                   "toInt64OrNull",
		"numerator: countIf(CAST(note AS Date) > '2024-01-01')":              "toDateOrNull",
		"numerator: countIf(toDate(kind) > toDate('2024-01-01'))":            "toDateOrNull",
		"numerator: sum(CAST(waited AS Int64))":                              "Nullable",
		"numerator: countIf(match('a', note))":                               "trailing",
		"numerator: countIf(bitTest(minutes, waited))":                       "bit position",
		"numerator: countIf(toInt64(weight * 10) = 1)":                       "not finite",
		"distribution: {of: \"fee / nullIf(minutes, 0)\", quantiles: [0.5]}": "greatest(y, 1)",
		"distribution: {of: log(minutes), quantiles: [0.5]}":                 "log is not allowed",
		"distribution: {of: weight * weight, quantiles: [0.5]}":              "not finite",
		// What has a type that it cannot have.
		"distribution: {of: kind, quantiles: [0.5]}":              "a distribution is of numbers",
		"distribution: {of: minutes, if: kind, quantiles: [0.5]}": "distribution.if",
		"numerator: sum(kind)":                                    "kind",
		"numerator: sumIf(minutes, kind)":                         "Illegal type",
		"numerator: countIf(minutes > 'x')":                       "'x'",
		"numerator: countIf(minutes)":                             "Illegal type",
		"numerator: max(kind)":                                    "a least or largest value is a number",
		"numerator: min(time)":                                    "a least or largest value is a number",
		"numerator: maxIf(minutes, seen)":                         "no aggregate",
		"numerator: sum(divideOrNull(fee, minutes))":              "only sums of whole numbers and decimals",
		"numerator: count()\n    match: {same: {in: visit.made, on: [island], when: its.minutes = kind}}":                             "match.same.when",
		"numerator: count()\n    match: {same: {in: visit.made, on: [island], when: its.time < time, newest: toInt64(its.note) = 1}}": "match.same",
		"numerator: countIf(kind = 'gpp')":                        `"gpp" is none of the values of kind: gp, nurse`,
		"numerator: countIf(island = 'Z')":                        `the table islands has no code "Z"`,
		"numerator: count()\n    denominator: sum(toInt64(note))": "versions[0].denominator",
	} {
		_, err := pack.Read(visited("    "+version+"\n"), checks)
		if err == nil {
			t.Errorf("%s: is called whole", version)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "kpis/visits.yaml:13: versions[0].") && !strings.Contains(err.Error(), "kpis/visits.yaml:14: versions[0].") || strings.Count(err.Error(), "\n") > 1 {
			t.Errorf("%s: said\n%v\nwant its place and %q", version, err, want)
		}
	}
	for _, version := range []string{
		"numerator: sum(intDivOrZero(fee, minutes))", "numerator: sum(intDiv(fee, 100))", "numerator: countIf(moduloOrZero(fee, minutes) = 1)",
		"numerator: sum(share * toDecimal128('0.25', 2))", "numerator: sum(toDecimal128(fee, 0) * 2000)", "numerator: sum(fee + minutes)", "numerator: sum(toDecimal256(fee, 0) * minutes)",
		"numerator: sum(toInt64OrZero(note))", "numerator: countIf(fee / nullIf(minutes, 0) > 2)",
		"numerator: countIf(toDateOrNull(note) > '2024-01-01')", "numerator: max(waited)", "numerator: countIf(island IN ('A', 'B') AND kind != 'gp' AND note = '')",
		"distribution: {of: \"fee / greatest(minutes, 1)\", if: minutes > 0, quantiles: [0.5]}", "distribution: {of: weight / 60, quantiles: [0.5]}",
		"numerator: countIf(same)\n    match: {same: {in: visit.made, on: [island], when: its.minutes = minutes AND its._id < _id AND toDate(its.time) < as_of, newest: its.seen}}",
	} {
		if _, err := pack.Read(visited("    "+version+"\n"), checks); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestSumsDoNotWrap: two thousand of the largest whole number that a field can have are added up exactly, in facts and in rollups.
func TestSumsDoNotWrap(t *testing.T) {
	p, err := pack.Read(visited("    numerator: sum(fee)\n"), checks(t))
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	c := w.Contract("visit.made")
	const many = 2000
	var rows []warehousetest.Row
	for i := range many {
		rows = append(rows, warehousetest.Row{ID: uint64(i + 1), Time: time.Date(2024, 5, 2, 9, 0, i, 0, time.UTC), Cut: reference.DayOf(time.Date(2024, 5, 3, 0, 0, 0, 0, time.UTC)), Batch: 1, Source: "clinics",
			Data: map[string]any{"island": "A", "kind": "gp", "minutes": 3, "fee": contract.LargestWhole}})
	}
	warehousetest.Insert(t, w, c, rows)
	want := new(big.Int).Mul(big.NewInt(contract.LargestWhole), big.NewInt(many)).String()
	term := p.KPIs[0].Versions[0].Numerator.Terms[0]
	tables := map[string]string{w.Facts(c): warehouse.Signed(term)}
	for _, r := range w.Rollups(c) {
		if column, ok := r.Column(term); ok {
			tables[w.Table(r)] = "sum(" + column + ")"
		}
	}
	if len(tables) < 4 {
		t.Fatalf("only %d tables hold the sum", len(tables))
	}
	for table, sum := range tables {
		var got string
		if err := w.Each(context.Background(), "SELECT toString("+sum+") FROM "+table, nil, func(scan warehouse.Scan) error { return scan(&got) }); err != nil || got != want {
			t.Errorf("%s of %s is %s, want %s; %v", sum, table, got, want, err)
		}
	}
}
