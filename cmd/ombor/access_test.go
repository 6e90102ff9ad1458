package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ombor/internal/access"
	"ombor/internal/problem"
)

// Every command has a rule, and every rule of a command has its command.
func TestEveryCommandHasItsRule(t *testing.T) {
	commands := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
		if c.Runnable() && c.HasParent() {
			commands[c.CommandPath()] = true
		}
	}
	walk(newRoot())
	for name := range commands {
		if rule, ok := access.RuleOf(name); !ok || len(rule.Via) == 0 {
			t.Errorf("%s has no rule in the table of access", name)
		}
	}
	for _, rule := range access.Table {
		if strings.HasPrefix(rule.Name, "ombor ") && !commands[rule.Name] {
			t.Errorf("the table of access has %s, and there is no such command", rule.Name)
		}
	}
	for name := range operations {
		if _, ok := access.RuleOf("POST " + operatorPath + name); !ok {
			t.Errorf("the operation %s has no rule", name)
		}
	}
}

func TestReadAccess(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(text string) string {
		name := filepath.Join(dir, "access.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a, err := readAccess(write(`
public: https://ombor.example.uz
sign_in:
  issuer: https://id.example.uz
  client_id: ombor
  client_secret_file: ` + secret + `
  claims: {roles: realm_access.roles, agency: org_code}
  roles: {dgc.leaders: leader}
people:
  - {subject: "4711", roles: [center, operator]}
limits: {requests: 50}
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.provider()
	if err != nil || p.ClientSecret != "hush" || p.Claims.Roles != "realm_access.roles" || p.Roles["dgc.leaders"] != access.Leader ||
		len(p.Grants) != 1 || len(p.Grants[0].Roles) != 2 || p.Public != "https://ombor.example.uz" || a.Limits.Requests != 50 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, wrong := range []string{"publik: https://x", "public: ombor", "sign_in: {issuer: https://id}", "people: [{subject: 1, role: x}]", ": :"} {
		if _, err := readAccess(write(wrong)); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := readAccess(filepath.Join(dir, "nothing")); problem.KindOf(err) != problem.BadInput {
		t.Error(err)
	}
	if a, err := readAccess(write("")); err != nil || a.Public != "" {
		t.Error(a, err)
	}
}
