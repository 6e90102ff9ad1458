package pack_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"ombor/internal/pack"
)

// domain are the KPIs that the systems of the government must be able to report, system by
// system. Their ids are fixed: addresses, targets and what was published refer to them.
var domain = []struct{ system, kpis string }{
	{"Single Portal", `service-count requests certificate-requests online-processing-share certificate-online-share end-to-end-electronic-share
		completion-share on-time-share request-duration open-request-age documents-in-account-share satisfaction registered-users active-users`},
	{"Automation", "automation-share-services automation-share-requests"},
	{"Mobile application", "mobile-availability paid-mobile-availability mobile-request-share sessions"},
	{"Proactive benefits", "proactive-conversions proactive-service-count proactive-share applications-avoided benefit-reversal-share"},
	{"Interagency integration platform", "exchange-volume exchange-success-share exchange-reconciled-share exchange-latency documents-not-demanded"},
	{"Digital data platform", "dataset-on-time-share dataset-requests datasets-with-owner-share"},
	{"Unified identification", "authentication-success-share active-identities relying-parties strong-method-share"}, // the last is the method mix
	{"Single billing", "payment-volume online-payment-share payment-failure-share payable-online-share"},
	{"Discounts", "discount-correctness discount-granted discount-wrongly-applied"},
	{"Data Processing Center", "system-availability hosted-systems restore-tested-share"},
	{"Documentation examination", "examination-first-pass-share examination-days examined-online-share"},
	{"Project portfolio", "project-count milestone-on-time-share milestone-days-late project-stale-share promises-met-share"},
	{"Digital Customs", "customs-no-touch-share customs-remote-share customs-clearance-hours"},
	{"Electronic Diary", "diary-hours-saved schools-live-share"},
	{"erp.maktab.uz", "registry-autofill-share institution-passports"},
	{"Land privatization", "land-registration-days land-online-share land-titles land-area"}, // titles in number and in hectares
	{"Courts", "court-worktime-ratio court-e-filing-share sheets-not-printed"},
	{"Unified National Labor System", "pension-zero-certificate-share certificates-avoided"},
	{"Econazorat", "violation-registration-hours violation-action-share violation-closure-days"},
	{"Biometric attendance", "attendance-share attendance-biometric-coverage attendance-override-share"},
	{"Citizen's digital profile", "profile-activation-share profile-purpose-share accesses-after-restriction profile-correction-days"},
	{"Signature-free services", "signature-free-share-services signature-free-share-requests signature-disputes"},
	{"Operators, banks, payment systems", "partner-request-share partner-completion-share partner-failure-share"},
	{"Sectors", "sector-fully-digital-share"},
	{"Savings", "savings-soums savings-hours savings-sheets"}, // by kind, never added across kinds
	{"Regulations", "administrative-regulations services-with-regulation-share"},
	{"Corruption complaints", "complaints-received complaints-answered-on-time-share"},
}

func TestEverySystemReports(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range domain {
		for _, id := range strings.Fields(s.kpis) {
			k := p.KPI(id)
			if k == nil {
				t.Errorf("%s: there is no KPI %s", s.system, id)
				continue
			}
			for _, language := range []string{"uz", "ru", "en"} {
				if k.Title[language] == "" || k.About[language] == "" {
					t.Errorf("%s has no title or no words in %s", id, language)
				}
			}
			if k.Unit == "" || k.Direction == "" || k.Owner == "" || len(k.Versions) == 0 {
				t.Errorf("%s: unit %q, direction %q, owner %q, %d versions", id, k.Unit, k.Direction, k.Owner, len(k.Versions))
			}
			for _, v := range k.Versions {
				if v.Version < 1 || len(v.Source) == 0 || v.Basis == "" {
					t.Errorf("%s: version %d, source %q, basis %q", id, v.Version, v.Source, v.Basis)
				}
			}
		}
	}
}

// TestLedger holds the pack's targets, results and claims against what was published: these
// and no others.
func TestLedger(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]string{
		"service-count": "T R", "mobile-availability": "T", "automation-share-services": "T", "proactive-conversions": "T",
		"certificate-requests": "R", "certificate-online-share": "R", "registered-users": "R", "mobile-service-count": "R",
		"discount-rate": "R R", "system-availability": "R", "project-count": "R",
		"proactive-no-documents-share": "C", "payable-online-share": "C", "examined-online-share": "C", "customs-no-touch-share": "C",
		"diary-hours-saved": "C", "court-worktime-ratio": "C", "pension-zero-certificate-share": "C", "violation-registration-hours": "C",
		"attendance-override-share": "C", "signature-free-share-services": "C", "savings-soums": "C",
	}
	got := map[string]string{}
	for _, x := range p.Targets {
		got[x.KPI] = strings.TrimSpace(got[x.KPI] + " " + map[string]string{"target": "T", "result": "R", "claim": "C"}[string(x.Kind)])
		if x.Act.Title == "" || x.Wording == "" || x.Owner == "" {
			t.Errorf("%s: act %q, wording %q, owner %q", x.KPI, x.Act.Title, x.Wording, x.Owner)
		}
		if !x.Judged() && x.Check["uz"] == "" {
			t.Errorf("%s says yes or no, and nobody is told what can be checked", x.KPI)
		}
	}
	for id, kinds := range published {
		if got[id] != kinds {
			t.Errorf("%s: %q, published was %q", id, got[id], kinds)
		}
	}
	for id := range got {
		if published[id] == "" {
			t.Errorf("of %s nothing was published", id)
		}
	}
}

// TestSimulatedCodesHaveNames: programmes and customs posts are codes without a table, and people choose by
// them: each that the simulation draws has words in every language.
func TestSimulatedCodesHaveNames(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(files, "simulation/systems.json")
	if err != nil {
		t.Fatal(err)
	}
	var flows []struct {
		Draw []struct {
			Name, Code string
			Of         int
			Pick       map[string]int
			Const      any
		}
	}
	if err := json.Unmarshal(text, &flows); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, flow := range flows {
		for _, d := range flow.Draw {
			if d.Name != "programme" && d.Name != "post" {
				continue
			}
			codes := slices.Collect(maps.Keys(d.Pick))
			if code, ok := d.Const.(string); ok {
				codes = append(codes, code)
			}
			for n := range d.Of {
				codes = append(codes, fmt.Sprintf("%s%d", d.Code, n+1))
			}
			for _, code := range codes {
				found++
				for _, language := range p.Languages {
					if p.Labels[language]["value."+d.Name+"."+code] == "" {
						t.Errorf("the %s %s has no words in %s", d.Name, code, language)
					}
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d codes were found", found)
	}
}
