package queries_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestSidesOfExchanges: an exchange has two sides, and they come late, not at all, twice,
// without the number that they share, or are taken back. The reconciled share is held
// against a loop over the rows, as it is known today and as it was known on earlier days.
func TestSidesOfExchanges(t *testing.T) {
	p, err := pack.Read(os.DirFS(filepath.Join("..", "internal", "pack", "testdata", "xroad")), pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	c := w.Contract("exchange.reported")
	at := func(day string) time.Time {
		d, err := time.ParseInLocation("2006-01-02 15:04", day, p.Zone)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var rows []warehousetest.Row
	put := func(happened, received, consumer, exchange, side string) {
		data := map[string]any{"side": side, "consumer": consumer, "provider": "register", "exchange_service": "lookup", "ok": true, "duration": 10}
		if exchange != "" {
			data["exchange"] = exchange
		}
		rows = append(rows, warehousetest.Row{ID: uint64(len(rows) + 1), Time: at(happened), Cut: day(received), Data: data})
	}
	// a: both sides, the producer's three weeks late
	put("2024-05-01 10:00", "2024-05-01", "a", "late", "client")
	put("2024-05-01 10:00", "2024-05-24", "a", "late", "producer")
	// b: the client alone; c: the producer alone
	put("2024-05-01 10:00", "2024-05-01", "b", "alone", "client")
	put("2024-05-01 10:00", "2024-05-01", "c", "unasked", "producer")
	// d: the client's side is sent twice under two ids, the second time a moment later
	put("2024-05-01 10:00", "2024-05-01", "d", "twice", "client")
	put("2024-05-01 10:01", "2024-05-01", "d", "twice", "client")
	put("2024-05-01 10:00", "2024-05-01", "d", "twice", "producer")
	// h: the client's side is sent twice under two ids, of the same moment
	put("2024-05-01 10:00", "2024-05-01", "h", "repeated", "client")
	put("2024-05-01 10:00", "2024-05-02", "h", "repeated", "client")
	put("2024-05-01 10:00", "2024-05-01", "h", "repeated", "producer")
	// e: two sides without a number, which need not be of one exchange
	put("2024-05-01 10:00", "2024-05-01", "e", "", "client")
	put("2024-05-01 10:00", "2024-05-01", "e", "", "producer")
	// f: a pair, of which the producer's side is withdrawn in June
	put("2024-05-01 10:00", "2024-05-01", "f", "undone", "client")
	put("2024-05-01 10:00", "2024-05-01", "f", "undone", "producer")
	undone := rows[len(rows)-1]
	undone.Sign, undone.Cut = -1, day("2024-06-03")
	rows = append(rows, undone)
	// g: of today, and its other side may still come
	put("2024-06-30 08:00", "2024-06-30", "g", "today", "client")

	r := rand.New(rand.NewPCG(22, 11))
	for i := range 300 {
		happened := at("2024-05-01 00:00").Add(time.Duration(r.IntN(55*24*60)) * time.Minute)
		exchange, consumer := fmt.Sprint("x", i), fmt.Sprint("m", r.IntN(3))
		for _, side := range []string{"client", "producer"} {
			if r.IntN(6) == 0 {
				continue
			}
			received := reference.DayOf(happened)
			if r.IntN(4) == 0 {
				received = min(received+reference.Day(r.IntN(40)), day("2024-06-30"))
			}
			for range 1 + r.IntN(7)/6 { // now and then again
				put(happened.Format("2006-01-02 15:04"), received.String(), consumer, exchange, side)
				happened = happened.Add(time.Minute)
			}
		}
	}
	for i := range rows { // what arrived in one month is one batch
		rows[i].Batch = uint64(rows[i].Cut.Time().Month())
		rows[i].Seq = rows[i].Batch<<20 + uint64(i)
	}
	warehousetest.Insert(t, w, c, rows)
	now := at("2024-06-30 12:00")
	q := queries.New(w, p.KPIs, p.Reference, queries.Options{Now: func() time.Time { return now }})

	type pair struct{ numerator, denominator float64 }
	known := func(on reference.Day) map[string]pair {
		limit := on
		if on == 0 {
			limit = reference.DayOf(now)
		}
		standing := standing(rows, on)
		sides := map[string]bool{}
		first := map[string]time.Time{}
		key := func(r warehousetest.Row) string { return text(r, "exchange") + " " + text(r, "side") }
		for _, r := range standing {
			if text(r, "exchange") == "" {
				continue
			}
			sides[key(r)] = true
			if f, ok := first[key(r)]; !ok || r.Time.Before(f) {
				first[key(r)] = r.Time
			}
		}
		other := map[string]string{"client": "producer", "producer": "client"}
		out, counted := map[string]pair{}, map[string]bool{}
		for _, r := range standing {
			paired := sides[text(r, "exchange")+" "+other[text(r, "side")]]
			if text(r, "exchange") != "" && r.Time.After(first[key(r)]) || reference.DayOf(r.Time.In(p.Zone)) >= limit {
				continue
			}
			if text(r, "exchange") != "" && counted[key(r)] {
				continue // of the same moment
			}
			counted[key(r)] = true
			sum := out[text(r, "consumer")]
			switch {
			case paired && text(r, "side") == "client":
				sum.numerator++
				sum.denominator++
			case !paired:
				sum.denominator++
			}
			out[text(r, "consumer")] = sum
		}
		return out
	}
	ask := func(on reference.Day) map[string]pair {
		result, err := q.Values(context.Background(), queries.Request{KPI: "exchange-reconciled-share", From: day("2024-05-01"), To: day("2024-06-30"), By: []string{"consumer"}, KnownOn: on})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]pair{}
		for _, c := range result.Cells {
			n, _ := c.Numerator.Float()
			d, _ := c.Denominator.Float()
			out[c.Dims[0].Value] = pair{n, d}
		}
		return out
	}
	for _, on := range []string{"", "2024-05-10", "2024-05-23", "2024-05-24", "2024-06-02", "2024-06-03"} {
		got, want := ask(day(on)), known(day(on))
		for consumer, w := range want {
			if got[consumer] != w {
				t.Errorf("known on %q, %s: %v, want %v", on, consumer, got[consumer], w)
			}
		}
	}
	for _, c := range []struct {
		on, consumer string
		want         pair
	}{
		{"2024-05-23", "a", pair{0, 1}}, {"2024-05-24", "a", pair{1, 1}}, {"", "a", pair{1, 1}},
		{"", "b", pair{0, 1}}, {"", "c", pair{0, 1}},
		{"", "d", pair{1, 1}},
		{"", "e", pair{0, 2}},
		{"2024-06-02", "f", pair{1, 1}}, {"2024-06-03", "f", pair{0, 1}}, {"", "f", pair{0, 1}},
		{"", "g", pair{0, 0}},
	} {
		if got := ask(day(c.on))[c.consumer]; got != c.want {
			t.Errorf("known on %q: %s is %v, want %v", c.on, c.consumer, got, c.want)
		}
	}
}

// TestLastWord: an access is forbidden when the citizen's last word before it, of the agency or of
// all, forbids it: also after a lift and a second restriction, and never by what was taken back or
// came to be known later.
func TestLastWord(t *testing.T) {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"pack.yaml": "name: town\nprefix: town.\ntitle: {en: Town}\nlanguages: [en]\nzone: Asia/Tashkent\nsources:\n  desk: {title: {en: Desk}, owner: hall}\nreference:\n  organisations: {file: organisations.csv}\n",
		"contracts/all.yaml": "type: town.accessed.v1\ntitle: {en: Accessed}\nsource: desk\nfields:\n  who: {type: code, required: true}\n  agency: {type: code, required: true}\n" +
			"---\ntype: town.restricted.v1\ntitle: {en: Restricted}\nsource: desk\nfields:\n  who: {type: code, required: true}\n  agency: {type: code}\n  lifted: {type: boolean, required: true}\n",
		"kpis/all.yaml": "id: forbidden\ntitle: {en: Forbidden}\nabout: {en: Accesses that were forbidden.}\nowner: hall\nunit: count\ndirection: down\nversions:\n  - version: 1\n    source: Statute 7\n    from: accessed\n" +
			"    match:\n      forbidden: {in: restricted, on: [who], when: \"its.time < time AND (its.agency = '' OR its.agency = agency)\", newest: NOT its.lifted}\n    numerator: countIf(forbidden)\n    rollups: [[who]]\n",
		"reference/organisations.csv": "code,name_en\nhall,Hall\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	q := queries.New(w, p.KPIs, p.Reference, queries.Options{Now: func() time.Time { return now }})
	var accessed, restricted []warehousetest.Row
	row := func(list *[]warehousetest.Row, on, received string, data map[string]any) *warehousetest.Row {
		n := uint64(len(accessed) + len(restricted) + 1)
		*list = append(*list, warehousetest.Row{ID: n, Time: day(on).Time().Add(6 * time.Hour), Cut: day(received), Data: data, Seq: n})
		return &(*list)[len(*list)-1]
	}
	say := func(on, received, who, agency string, lifted bool) *warehousetest.Row {
		data := map[string]any{"who": who, "lifted": lifted}
		if agency != "" {
			data["agency"] = agency
		}
		return row(&restricted, on, received, data)
	}
	access := func(on, who, agency string) {
		row(&accessed, on, on, map[string]any{"who": who, "agency": agency})
	}
	// a forbids tax, lifts it and forbids it again; b forbids all and lifts tax alone; c never forbade it.
	say("2024-03-01", "2024-03-01", "a", "tax", false)
	say("2024-04-01", "2024-04-01", "a", "tax", true)
	say("2024-05-01", "2024-05-01", "a", "tax", false)
	say("2024-03-01", "2024-03-01", "b", "", false)
	say("2024-04-01", "2024-04-01", "b", "tax", true)
	// d's lift is withdrawn in August; e's restriction of March is known in July.
	say("2024-03-01", "2024-03-01", "d", "tax", false)
	withdrawn := *say("2024-04-01", "2024-04-01", "d", "tax", true)
	withdrawn.Sign, withdrawn.Cut = -1, day("2024-08-01")
	restricted = append(restricted, withdrawn)
	say("2024-03-01", "2024-07-01", "e", "tax", false)
	for _, who := range []string{"a", "b", "c", "d", "e"} {
		for _, on := range []string{"2024-02-15", "2024-03-15", "2024-04-15", "2024-05-15"} {
			access(on, who, "tax")
			access(on, who, "land")
		}
	}
	for _, list := range []struct {
		contract string
		rows     []warehousetest.Row
	}{{"accessed", accessed}, {"restricted", restricted}} {
		for i := range list.rows { // what arrived in one month is one batch
			list.rows[i].Batch = uint64(list.rows[i].Cut.Time().Month())
			list.rows[i].Seq = list.rows[i].Batch<<20 + uint64(i)
		}
		warehousetest.Insert(t, w, w.Contract(list.contract), list.rows)
	}
	for knownOn, want := range map[string]string{
		"2024-06-30": "a 2, b 4, c 0, d 1, e 0",
		"2024-07-31": "a 2, b 4, c 0, d 1, e 3",
		"":           "a 2, b 4, c 0, d 3, e 3",
	} {
		r := queries.Request{KPI: "forbidden", By: []string{"who"}, KnownOn: day(knownOn)}
		var got []string
		for _, c := range values(t, q, r).Cells {
			got = append(got, c.Dims[0].Value+" "+string(c.Numerator))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("known on %q: %s, want %s", knownOn, strings.Join(got, ", "), want)
		}
	}
}
