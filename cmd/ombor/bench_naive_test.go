//go:build bench

package main_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"ombor/warehouse"
)

// decision is a decided request as a team would declare it.
type decision struct {
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	Time      time.Time `json:"time"`
	Simulated bool      `json:"simulated"`
	Data      struct {
		Request           string     `json:"request"`
		Applicant         string     `json:"applicant"`
		Company           string     `json:"company"`
		ApplicantKind     string     `json:"applicant_kind"`
		Service           string     `json:"service"`
		ServiceKind       string     `json:"service_kind"`
		Agency            string     `json:"agency"`
		Region            string     `json:"region"`
		District          string     `json:"district"`
		Intake            string     `json:"intake"`
		Partner           string     `json:"partner"`
		Processing        string     `json:"processing"`
		Records           string     `json:"records"`
		Delivery          string     `json:"delivery"`
		SubmittedAt       time.Time  `json:"submitted_at"`
		Deadline          *time.Time `json:"deadline"`
		Outcome           string     `json:"outcome"`
		DocumentsDemanded *int64     `json:"documents_demanded"`
		DocumentsAvoided  *int64     `json:"documents_avoided"`
		SignatureMethod   string     `json:"signature_method"`
		Fee               *int64     `json:"fee"`
		Discount          *int64     `json:"discount"`
	} `json:"data"`
}

// naive is what a team would write instead: read a line, decode it, append it to a
// batch, send the batch. A number that is sent twice counts twice, a crash loses or
// repeats a batch, nothing is checked.
func (in *race) naive(t *testing.T) finish {
	const rows = 100_000 // of a batch
	s := engine(t)
	in.open(t, warehouse.Config{URL: s.url})
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	kinds, agencies := map[string]string{}, map[string]string{}
	for _, row := range in.pack.Reference.Table("services").Rows() {
		kinds[row.Code], agencies[row.Code] = row.Value("kind"), row.Value("agency")
	}
	before, engine := usageOf(t, os.Getpid()), usageOf(t, s.command.Process.Pid)
	began := time.Now()
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{address.Host}, Settings: clickhouse.Settings{"insert_deduplicate": 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := os.Open(in.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	secret := hmac.New(sha256.New, []byte("a key of the team"))
	hash := func(parts ...string) uuid.UUID {
		secret.Reset()
		for _, p := range parts {
			_, _ = secret.Write([]byte(p)) // a hash never fails
		}
		return uuid.UUID(secret.Sum(nil)[:16])
	}
	person := func(identifier string) *uuid.UUID {
		if identifier == "" {
			return nil
		}
		id := hash(identifier)
		return &id
	}
	open := func() driver.Batch {
		b, err := conn.PrepareBatch(t.Context(), `INSERT INTO facts.request_decided_v1
			(_id, _rev, _simulated, _source, time, _day, request, applicant, company, applicant_kind, service, service_kind, agency,
			region, district, intake, partner, processing, records, delivery, submitted_at, deadline, outcome, documents_demanded,
			documents_avoided, signature_method, fee, discount, _sign, _cut, _seq, _batch)`)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	today := in.cut.Time()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	b := open()
	for seq := uint64(0); lines.Scan(); seq++ {
		var e decision
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		d := &e.Data
		if d.ServiceKind == "" {
			d.ServiceKind = kinds[d.Service]
		}
		if d.Agency == "" {
			d.Agency = agencies[d.Service]
		}
		year, month, day := e.Time.In(in.pack.Zone).Date()
		if err := b.Append(hash(e.Source, "\x00", e.ID), uint32(0), e.Simulated, e.Source, e.Time, time.Date(year, month, day, 0, 0, 0, 0, time.UTC),
			d.Request, person(d.Applicant), person(d.Company), d.ApplicantKind, d.Service, d.ServiceKind, d.Agency,
			d.Region, d.District, d.Intake, d.Partner, d.Processing, d.Records, d.Delivery, d.SubmittedAt, d.Deadline, d.Outcome, d.DocumentsDemanded,
			d.DocumentsAvoided, d.SignatureMethod, d.Fee, d.Discount, int8(1), today, seq, uint64(batch)); err != nil {
			t.Fatal(err)
		}
		if b.Rows() == rows {
			if err := b.Send(); err != nil {
				t.Fatal(err)
			}
			b = open()
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	inserter := usageOf(t, os.Getpid()).since(before)
	inserter.peak = 0 // this process has done other things before
	f := finish{took: took, used: []process{{"inserter", inserter}, {"engine", usageOf(t, s.command.Process.Pid).since(engine)}}}
	in.sameFacts(t, s.statement)
	return f
}
