package simulate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ombor/internal/pack"
	"ombor/internal/reference"
)

// At full scale the plan of 2024 has exactly the published requests for certificates
// and the published share of them online, and no cell has more offline than it has.
func TestPlanOfThePublishedYear(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		g, err := New(p, Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if all, online := g.certificates(); all != 8_300_000 || online != 6_142_000 {
			t.Errorf("seed %d: %d requests for certificates, %d online; want 8,300,000 and 6,142,000", seed, all, online)
		}
		y := g.year(2024)
		all := uint64(0)
		for d := range y.days {
			for i, c := range y.day(y.first+reference.Day(d), len(g.services)) {
				s, on := &g.services[i], y.first+reference.Day(d)
				all += uint64(c.n)
				if c.offline > c.n || c.offline > 0 && s.automatedOn(on) || c.n > 0 && !s.existsOn(on) {
					t.Fatalf("seed %d, %s, service %s: %d requests, %d offline", seed, on, s.code, c.n, c.offline)
				}
			}
		}
		if all != 8_300_000+2_400_000 {
			t.Errorf("seed %d: %d requests in all", seed, all)
		}
		if n := g.expected(); n >= 30_000_000 {
			t.Errorf("a year at full scale has about %d events; it stays below 30 million", n)
		}
	}
}

func TestApportion(t *testing.T) {
	for _, c := range []struct {
		total   uint64
		weights []uint64
		want    []uint64
	}{
		{10, []uint64{1, 1, 1}, []uint64{4, 3, 3}},
		{5, []uint64{0, 3, 0}, []uint64{0, 5, 0}},
		{7, []uint64{}, []uint64{}},
		{7, []uint64{0, 0}, []uint64{0, 0}},
		{0, []uint64{2, 1}, []uint64{0, 0}},
		{100, []uint64{1 << 62, 1 << 62}, []uint64{50, 50}},
	} {
		got := apportion(c.total, c.weights)
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("%d by %v is %v, want %v", c.total, c.weights, got, c.want)
				break
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		weights := make([]uint64, 1+r.IntN(50))
		for i := range weights {
			weights[i] = r.Uint64N(1e12) + 1
		}
		total, sum := r.Uint64N(1e9), uint64(0)
		for _, part := range apportion(total, weights) {
			sum += part
		}
		if sum != total {
			t.Fatalf("%d by %v gives %d in all", total, weights, sum)
		}
	}
}

// Wherever one looks, as much has been given as is due: twelve cases a year are one a month.
func TestParcel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		weights := make([]uint64, 1+r.IntN(366))
		all := uint64(0)
		for i := range weights {
			weights[i] = r.Uint64N(1e9)
			all += weights[i]
		}
		total, given, upTo := r.Uint64N(1000), uint64(0), uint64(0)
		for i, n := range parcel(total, weights) {
			given, upTo = given+n, upTo+weights[i]
			if want := mulDiv(total, upTo, max(all, 1)); given != want {
				t.Fatalf("%d of %d given after %d of %d", given, total, upTo, all)
			}
		}
	}
	if got := parcel(3, make([]uint64, 5)); !slices.Equal(got, make([]uint64, 5)) {
		t.Errorf("by no weight: %v", got)
	}
}

func TestTermAndFee(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	n, err := readNation(files)
	if err != nil {
		t.Fatal(err)
	}
	v := &n.Invented
	for text, want := range map[string]int{"3 ish kuni mobaynida": 3, "22-30 ish kuni": 30, "Bir oy mobaynida": 22, "30 kun": 30, "": 10, "90 kun": maxTerm} {
		if got := v.termOf(text, false); got != want {
			t.Errorf("the term %q is %d working days, want %d", text, got, want)
		}
	}
	if got := v.termOf("Avtomatik tarzda", true); got != 0 {
		t.Errorf("an automatic answer has a term of %d", got)
	}
	for text, want := range map[string]int64{"Bepul": 0, "": -1, "370800 soʻm (0.9 BHM)": 37_080_000, "16 875 soʻm; 187500 soʻm": 1_687_500, "Shartnoma asosida": 3_750_000} {
		if got := v.feeOf(text); got != want {
			t.Errorf("the fee %q is %d tiyin, want %d", text, got, want)
		}
	}
	id := v.Identifiers.Person
	seen := map[string]bool{}
	for person := range uint64(20_000) {
		text := string(id.append(nil, person*501)) // up to ten million
		if len(text) != 14 || text[0] != '9' || seen[text] {
			t.Fatalf("person %d is %s", person*501, text)
		}
		seen[text] = true
	}
}

// At a small scale too a flow has cases in every month, as soon as it has two a month.
func TestFewCasesAllYear(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(p, Options{Scale: 0.01, Systems: true})
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for i := range g.flows {
		f := &g.flows[i]
		year := g.nation.Published.Year
		if f.AYear == 0 || f.Requests != nil || g.total(f.AYear, year) < 24 {
			continue
		}
		looked++
		months := map[time.Month]uint32{}
		for d := dayOf(year, 1, 1); d <= dayOf(year, 12, 31); d++ {
			n, _ := g.cases(f, d)
			months[d.Time().Month()] += n
		}
		for m := time.January; m <= time.December; m++ {
			if months[m] == 0 {
				t.Errorf("%s: no case in %v: %v", f.Name, m, months)
			}
		}
	}
	if looked < 10 {
		t.Fatalf("only %d flows", looked)
	}
}
