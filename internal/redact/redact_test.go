package redact_test

import (
	"testing"

	"ombor/internal/redact"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"SELECT 12345678":                     "SELECT 12345678",
		"WHERE stir = '391999777'":            "WHERE stir = '‹9 digits›'",
		"of 31205851234567, and 1":            "of ‹14 digits›, and 1",
		"passport AB7654321":                  "passport ‹9 characters›",
		"('AB7654321') and C-12345678":        "('‹9 characters›') and ‹10 characters›",
		"x IN 12345678 LIMIT 10000000":        "x IN 12345678 LIMIT 10000000",
		"паспорт АА1234567":                   "паспорт ‹9 characters›",
		"UInt64, Q1 2024, 2024-03-01, v1.2.3": "UInt64, Q1 2024, 2024-03-01, v1.2.3",
		"numbers(1900000000), 391999777":      "numbers(1900000000), ‹9 digits›",
		"request_1234567 of 12,000,000":       "request_1234567 of 12,000,000",
	} {
		got := redact.Text(text)
		if got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		if changed := got != text; redact.Found(text) != changed || redact.Lacks(got) != changed || redact.Found(got) {
			t.Errorf("%q: found %v, lacks %v, found again %v", text, redact.Found(text), redact.Lacks(got), redact.Found(got))
		}
	}
}

func TestOnly(t *testing.T) {
	for text, want := range map[string]bool{"": false, "1726": false, "31205851234567": true, "AB7654321": true, "AB-7654321": true, "none-1795362681863": false, "('AB7654321')": false, "1000000000": false} {
		if redact.Only(text) != want {
			t.Errorf("%q alone: %v", text, !want)
		}
	}
}
