package reference_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

func day(t testing.TB, text string) reference.Day {
	t.Helper()
	d, err := reference.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t testing.TB, text string) *reference.Table {
	t.Helper()
	var issues problem.Issues
	table := reference.ReadTable("regions", "regions.csv", strings.NewReader(text), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	return table
}

const regions = "\ufeffcode,parent,name_uz,name_uz_cyrl,name_ru,name_en,aliases,valid_from,valid_to,population\r\n" +
	"uz,,O'zbekiston,,Узбекистан,Uzbekistan,,,,\r\n" +
	"1730,uz,Farg‘ona  viloyati,Фарғона вилояти,Ферганская область,Fergana,\"Ferghana|FERGANA, region\",,,3800000\r\n" +
	"1735,uz,Qoraqalpog’iston,,,Karakalpakstan,,,,\r\n" +
	"1800,uz,,,,Old name,,2010-01-01,2019-12-31,\r\n" +
	"1800,uz,,,,New name,,2020-01-01,,\r\n" +
	"d1,1730,Markaz,,,,,,,\r\n" +
	"d2,1735,Markaz,,,,,,,\r\n"

func TestResolve(t *testing.T) {
	table := read(t, regions)
	for text, want := range map[string]string{
		"1730":                  "1730",
		"Fergana":               "1730",
		"fergana":               "1730",
		" FERGANA ":             "1730",
		"ferghana":              "1730",
		"Fergana, Region":       "1730",
		"ФЕРГАНСКАЯ   область":  "1730",
		"фарғона вилояти":       "1730",
		"Farg'ona viloyati":     "1730", // U+0027
		"Fargʻona viloyati":     "1730", // U+02BB
		"Fargʼona viloyati":     "1730", // U+02BC
		"Farg‘ona viloyati":     "1730", // U+2018
		"Farg’ona viloyati":     "1730", // U+2019
		"QORAQALPOG'ISTON":      "1735",
		"Old name":              "1800",
		"new NAME":              "1800",
		"Markaz":                "", // two districts have the name
		"":                      "",
		"Ferganaa":              "",
		"Fargona viloyati":      "",
		"Фарг\u0306она вилояти": "", // another letter, not another spelling
	} {
		code, ok := table.Resolve(text)
		if code != want || ok != (want != "") {
			t.Errorf("%q means %q (%t), want %q", text, code, ok, want)
		}
		if again, _ := table.ResolveBytes([]byte(text)); again != code {
			t.Errorf("%q as bytes means %q", text, again)
		}
	}
}

func TestNamesHaveOneStoredForm(t *testing.T) {
	table := read(t, regions)
	row, _ := table.Get("1730")
	if got := row.Names["uz"]; got != "Fargʻona viloyati" {
		t.Errorf("stored %q", got)
	}
	if got := row.Names["uz-Cyrl"]; got != "Фарғона вилояти" {
		t.Errorf("stored %q", got)
	}
	if got := reference.Clean("Sog'liqni saqlash ma‘lumoti, san'at", "uz"); got != "Sogʻliqni saqlash maʼlumoti, sanʼat" {
		t.Errorf("Uzbek became %q", got)
	}
	if got := reference.Clean("l’Ontario’s  e\u0301tat", "fr"); got != "l’Ontario’s \u00e9tat" {
		t.Errorf("French became %q", got)
	}
	if row.Value("population") != "3800000" || row.Value("parent") != "uz" || row.Value("area") != "" {
		t.Errorf("cells %q, %q, %q", row.Value("population"), row.Value("parent"), row.Value("area"))
	}
}

func TestAt(t *testing.T) {
	table := read(t, regions)
	for _, test := range []struct{ day, want string }{
		{"2009-12-31", ""}, {"2010-01-01", "Old name"}, {"2019-12-31", "Old name"}, {"2020-01-01", "New name"}, {"2999-01-01", "New name"},
	} {
		row, ok := table.At("1800", day(t, test.day))
		if row.Names["en"] != test.want || ok != (test.want != "") {
			t.Errorf("on %s: %q (%t), want %q", test.day, row.Names["en"], ok, test.want)
		}
	}
	if _, ok := table.At("9", 0); ok {
		t.Error("an unknown code has a meaning")
	}
	if got := table.Path("d1"); !slices.Equal(got, []string{"uz", "1730", "d1"}) {
		t.Errorf("path %v", got)
	}
}

func TestRefusedTables(t *testing.T) {
	for reason, test := range map[string]struct{ text, want string }{
		"ragged":        {"code,name_en\na\n", "t.csv:2: has 1 cells where the first line names 2 columns"},
		"span touching": {"code,valid_from,valid_to\na,,2020-01-01\na,2020-01-01,\n", `t.csv:3: code: "a" stands on lines 2 and 3 for days that overlap`},
		"open twice":    {"code,valid_from,valid_to\na,,\na,,\n", `t.csv:3: code: "a" stands on lines 2 and 3`},
		"alias is code": {"code,aliases\na,b\nb,\n", `t.csv:2: aliases: "b" already means "b"`},
		"quote":         {"code\n\"a\n", "t.csv:2: is not CSV"},
		"invalid":       {"code\na\nb\xff\n", "t.csv:3: is not UTF-8"},
	} {
		t.Run(reason, func(t *testing.T) {
			var issues problem.Issues
			reference.ReadTable("t", "t.csv", strings.NewReader(test.text), reference.TableFormat{}, &issues)
			if err := issues.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("said %v, want %s", err, test.want)
			}
		})
	}
}

func TestCalendar(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		t.Fatal(err)
	}
	var issues problem.Issues
	c := &reference.Calendar{Zone: zone, FiscalMonth: time.April,
		Week: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}}
	c.Days, c.DayNames = reference.ReadDays("d.csv", strings.NewReader("date,kind,name_en,name_uz\n2024-03-21,holiday,Navruz,Navroʻz\n2024-03-23,working,,\n"), &issues)
	c.Quarters = reference.ReadQuarters("q.csv", strings.NewReader("code,valid_from,valid_to\n2,2024-11-11,2024-12-27\n1,2024-09-02,2024-11-03\n"), &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	// Monday 18 to Sunday 24 March 2024: five weekdays, Nawruz off, Saturday worked.
	if n := c.WorkingDays(day(t, "2024-03-18"), day(t, "2024-03-24")); n != 5 {
		t.Errorf("%d working days", n)
	}
	if n := c.WorkingDays(day(t, "2024-03-24"), day(t, "2024-03-18")); n != 0 {
		t.Errorf("%d working days backwards", n)
	}
	if d := c.AddWorkingDays(day(t, "2024-03-20"), 3); d != day(t, "2024-03-25") { // Friday 22, Saturday 23, Monday 25
		t.Errorf("three working days after 20 March: %s", d)
	}
	if names := c.DayNames[day(t, "2024-03-21")]; names["en"] != "Navruz" || names["uz"] != "Navroʻz" || len(c.DayNames) != 1 {
		t.Errorf("21 March is %v, of %d named days", names, len(c.DayNames))
	}
	if y := c.FiscalYear(day(t, "2025-03-31")); y != 2024 {
		t.Errorf("fiscal year %d", y)
	}
	if s := c.FiscalSpan(2024); s.From != day(t, "2024-04-01") || s.To != day(t, "2025-03-31") {
		t.Errorf("fiscal 2024 is %s to %s", s.From, s.To)
	}
	for text, want := range map[string]string{"2024-09-01": "", "2024-09-02": "1", "2024-11-03": "1", "2024-11-04": "", "2024-12-27": "2", "2025-01-01": ""} {
		if q, _ := c.Quarter(day(t, text)); q.Code != want {
			t.Errorf("%s is in quarter %q, want %q", text, q.Code, want)
		}
	}
	// 20:00 UTC is 01:00 of the next day in Tashkent.
	if d := c.Today(time.Date(2024, 5, 1, 20, 0, 0, 0, time.UTC)); d != day(t, "2024-05-02") {
		t.Errorf("the day is %s", d)
	}
	if s := c.Start(day(t, "2024-05-02")); !s.Equal(time.Date(2024, 5, 1, 19, 0, 0, 0, time.UTC)) {
		t.Errorf("the day starts at %s", s.UTC())
	}
	var zero reference.Calendar
	if !zero.Works(0) || zero.FiscalYear(0) != 1970 || zero.AddWorkingDays(0, 1) != 1 {
		t.Error("the zero calendar is not seven working days in UTC with years from January")
	}
}

func TestCodesThatDifferByCase(t *testing.T) {
	table := read(t, "code,name_en\nA,\na,\nb,a\n")
	for text, want := range map[string]string{"A": "A", "a": "a", " a": "", "B": "b"} {
		if code, _ := table.Resolve(text); code != want {
			t.Errorf("%q means %q, want %q", text, code, want)
		}
	}
}

func TestNilSet(t *testing.T) {
	var s *reference.Set
	if s.Table("x") != nil || len(s.Tables()) != 0 || !s.Calendar().Works(0) {
		t.Error("a nil set is not empty")
	}
}

func FuzzFold(f *testing.F) {
	for _, seed := range []string{"Farg‘ona  viloyati", "İ", "ΐ ΐ", "e\u0301\u2019", "ß", "\u00a0a\u2003b ", "ŉ", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := reference.Fold(text)
		if twice := reference.Fold(once); twice != once {
			t.Fatalf("%q folds to %q and that to %q", text, once, twice)
		}
		if other := reference.Fold(strings.ReplaceAll(text, "'", "’")); other != once {
			t.Fatalf("%q folds to %q, with another apostrophe to %q", text, once, other)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	var text strings.Builder
	text.WriteString("code,name_en\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "%04d,Service %d\n", i, i)
	}
	table := read(b, text.String())
	code, name := []byte("0567"), []byte("SERVICE 567")
	b.Run("code", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := table.ResolveBytes(code); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := table.ResolveBytes(name); !ok {
				b.Fatal("not found")
			}
		}
	})
}

func TestResolveOfACodeDoesNotAllocate(t *testing.T) {
	table := read(t, regions)
	code := []byte("1730")
	if n := testing.AllocsPerRun(100, func() { table.ResolveBytes(code); table.Get("1730"); table.At("1800", 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
