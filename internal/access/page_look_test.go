package access

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"

	"ombor/internal/problem"
)

// What a page says begins as a sentence, in the browser's language, and its style is allowed.
func TestRefusedPageLooks(t *testing.T) {
	r := httptest.NewRequest("GET", "/sign-in?link=x", nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "ru")
	w := httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "default-src 'self'")
	refuse(w, r, problem.New(problem.Unauthenticated, "this link has been used"))
	body := w.Body.String()
	_, after, _ := strings.Cut(body, "<style>")
	written, _, _ := strings.Cut(after, "</style>")
	sum := sha256.Sum256([]byte(written))
	if policy := w.Header().Get("Content-Security-Policy"); written == "" || !strings.Contains(policy, "default-src 'self'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the style is not allowed by %s:\n%s", policy, body)
	}
	if !strings.Contains(body, "<p>This link has been used.</p>") || !strings.Contains(body, "Войти не удалось") {
		t.Error(body)
	}
}
