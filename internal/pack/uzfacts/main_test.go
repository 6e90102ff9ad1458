package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// factsDir is where the published facts lie: $OMBOR_SHARED/data, or ../shared/data
// beside the project.
func factsDir(t *testing.T) string {
	t.Helper()
	root := os.Getenv("OMBOR_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	dir := filepath.Join(root, "data")
	if _, err := os.Stat(filepath.Join(dir, "uz_services", "services.tsv")); err != nil {
		t.Fatalf("the published facts are not there: %v\nset OMBOR_SHARED to the folder that holds data/uz_services and data/uz_reference", err)
	}
	return dir
}

const tables = "../uz/reference"

// The committed tables say what the facts say.
func TestTablesFollowFacts(t *testing.T) {
	facts := factsDir(t)
	organisations, err := readOrganisations(filepath.Join(tables, "organisations.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := services(&b, facts, organisations); err != nil {
		t.Fatal(err)
	}
	same(t, "services.csv", b.Bytes())
	b.Reset()
	if err := districts(&b, facts); err != nil {
		t.Fatal(err)
	}
	same(t, "districts.csv", b.Bytes())
}

func same(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(tables, name))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d says\n  %s\nthe facts say\n  %s\nrun this command again, see its documentation", name, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s has %d lines, the facts give %d", name, len(g), len(w))
}

func TestSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"Ko'p  kvartirali":         "Koʻp kvartirali",
		"O`zbekiston va O’zbek":    "Oʻzbekiston va Oʻzbek",
		"Аrxitektura":              "Arxitektura", // the first letter is Cyrillic
		"maʼlumotnoma (ТМ-1)":      "maʼlumotnoma (TM-1)",
		"Улугноpский район":        "Улугнорский район", // one letter is Latin
		"муҳтож ёш оилалар":        "muhtoj yosh oilalar",
		"“VEOLIA” MChJ XK — 20 kV": "“VEOLIA” MChJ XK — 20 kV",
	} {
		got := spelling(text)
		if strings.HasPrefix(text, "муҳ") {
			got = inLatin(text)
		}
		if got != want {
			t.Errorf("spelling of %q is %q, want %q", text, got, want)
		}
	}
}

func TestKind(t *testing.T) {
	for title, want := range map[string]string{
		"Sudlanmaganlik (yoki sudlanganlik) toʻgʻrisida maʼlumotnoma":                         "certificate",
		"Tugʻilganlik haqida maʼlumotnomani olish (tezlashtirilgan tartibda)":                 "certificate",
		"Mehnat daftarchasidan koʻchirma":                                                     "certificate",
		"Koʻchmas mulk boʻyicha koʻchirmani tekshirish":                                       "information",
		"Karantin agentligi ruxsatnoma va sertifikatlarini tekshirish":                        "information",
		"Texnik qurilmalar va inshootlarni tekshirish va sinovdan oʻtkazish uchun ruxsatnoma": "permit",
		"COVID-19 ga emlashga yozilish va holatini tekshirish":                                "appointment",
		"Jarimalar":          "payment",
		"Ishsizlik nafaqasi": "benefit",
		"Haydovchilik guvohnomasini rasmiylashtirish": "licence",
		"Nikohni qayd etish":                          "registration",
		"Bolani bogʻchaga joylashtirish":              "other",
	} {
		if got := Kind(title); got != want {
			t.Errorf("kind of %q is %s, want %s", title, got, want)
		}
	}
}
