# Ombor. Needed beforehand: Go 1.26, gcc, Node 20 with npm, make. Everything else
# is installed once, at a pinned version, under .tools/ (ignored by git).

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
ROOT  := $(CURDIR)
TOOLS := $(ROOT)/.tools
STATICCHECK_VERSION := v0.8.2
empty :=
space := $(empty) $(empty)
export GOFLAGS := -buildvcs=false
export CGO_ENABLED := 1

# Test data of real governments is read in place, never copied here.
OMBOR_SHARED ?= $(ROOT)/../shared
export OMBOR_SHARED

include warehouse/engine/library/library.mk
include internal/objects/minio.mk
include internal/stream/nats.mk
include internal/access/provider.mk
include dashboards-api/web/web.mk

GO_FILES := $(shell find . -name '*.go' -not -path './dashboards-api/web/node_modules/*' -not -path './.tools/*')
EMBEDDED := $(shell find internal/pack/uz warehouse -type f -not -name '*.go') $(wildcard dashboards-api/*.yaml dashboards-api/*.html dashboards-api/*.css)

# DuckDB reads the lake in the tests: an engine that is not ours.
DUCKDB := .tools/duckdb/node_modules/.package-lock.json
$(DUCKDB): $(wildcard cmd/ombor/testdata/duckdb/*)
	@echo "== installing DuckDB for the tests"
	@mkdir -p .tools/duckdb && cp cmd/ombor/testdata/duckdb/* .tools/duckdb/
	cd .tools/duckdb && npm install --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# ClickHouse's own client for Node.js asks the SQL door in the tests.
CLIENTS := .tools/clients/node_modules/.package-lock.json
$(CLIENTS): $(wildcard cmd/ombor/testdata/clients/*)
	@echo "== installing ClickHouse's client for the tests"
	@mkdir -p .tools/clients && cp cmd/ombor/testdata/clients/* cmd/ombor/testdata/clients/.npmrc .tools/clients/
	cd .tools/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# strace shows that no acknowledgement leaves before its fsync.
STRACE ?= /usr/bin/strace
$(STRACE):
	@echo "== installing Debian's strace"
	apt-get update -qq && apt-get install -y -qq strace

# What the tests need to be there.
STATICCHECK := $(TOOLS)/staticcheck-$(STATICCHECK_VERSION)
GO_NEEDS := $(LIBCHDB) $(MINIO) $(NATS_SERVER) $(OIDC_PROVIDER) $(WEB_STAMP)
END_TO_END_NEEDS := $(MINIO) $(NATS_SERVER) $(OIDC_PROVIDER) $(STRACE) $(DUCKDB) $(CLIENTS) $(CHROMIUM) $(WEB_NODE)

.PHONY: help run test test-go test-web test-conformance test-end-to-end test-crash test-server bench-ingest bench-kpi bench-storage bench-scale bench-latency bench-sql build lint clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

build: bin/ombor ## bin/ombor, with the page inside

# Where the time of a server goes that loads: the compiler inlines and lays out by it. It is named
# here, and is no default.pgo, so that tests of package main are not built from the ground up for it.
PROFILE := cmd/ombor/load.pgo

bin/ombor: $(GO_FILES) $(EMBEDDED) go.mod go.sum $(PROFILE) $(LIBCHDB) $(WEB_STAMP) | compiler
	@echo "== building bin/ombor"
	go build -trimpath -pgo=$(PROFILE) -o $@ ./cmd/ombor

.PHONY: profile
profile: $(LIBCHDB) $(WEB_STAMP) | compiler ## takes anew the profile of a load that bin/ombor is built by
	@mkdir -p .tools/bench
	go build -trimpath -tags profile -o .tools/bench/ombor-profile ./cmd/ombor
	OMBOR_BINARY=$(ROOT)/.tools/bench/ombor-profile OMBOR_PROFILE=$(ROOT)/$(PROFILE) $(BENCH) -run '^TestProfile$$'
	@rm .tools/bench/ombor-profile

# The share of the published year that 'make run' simulates: 1 is 8.3 million decided
# requests for certificates, 29.7 million events in all.
SCALE ?= 1
# Where it is served, when another program has 127.0.0.1:8080.
LISTEN ?=

run: build ## everything a newcomer needs: install, build, start, load a simulated year, print the address
	bin/ombor demo --data data --scale $(SCALE) $(if $(LISTEN),--listen $(LISTEN))

# Each part waits much and computes little, or the other way round: four go side by side, the longest first.
AT_ONCE := --no-print-directory --output-sync=target
GO_PARTS := race-queries race-ingest race-rest race-warehouse race-simulate test-alone
END_TO_END_PARTS := end-to-end-paths end-to-end-faults end-to-end-crashes end-to-end-page

test: compiler $(GO_NEEDS) $(STATICCHECK) bin/ombor $(END_TO_END_NEEDS) ## everything, with real parts
	@$(MAKE) $(AT_ONCE) -j4 end-to-end-paths end-to-end-faults race-queries lint $(END_TO_END_PARTS) $(GO_PARTS) test-conformance test-web

lint: $(STATICCHECK) ## gofmt, go vet, staticcheck, import rules
	@unformatted=$$(gofmt -l $(GO_FILES)); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	go test -count=1 ./internal/lint

$(STATICCHECK):
	@echo "== installing staticcheck $(STATICCHECK_VERSION)"
	GOBIN=$(TOOLS)/bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	mv $(TOOLS)/bin/staticcheck $@

# What Debian has and a bare machine may lack: the race detector needs a C compiler.
.PHONY: compiler
compiler:
	@command -v gcc >/dev/null || { echo "== installing gcc"; apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }

test-go: compiler $(GO_NEEDS) lint ## Go tests, under the race detector
	@$(MAKE) $(AT_ONCE) -j2 $(GO_PARTS)

# Rooms that start no goroutine have nothing to race, and are tested without the detector, under
# which computing takes ten times as long; internal/lint looks that they stay such. The simulation
# is tested without it, and once more under it by those tests that are about its workers.
ALONE := queries/disclosure queries/disclosure/attack
WORKERS := ^Test(BytesArePinned|WritesAgain|Progress|Stops|BadOptions|ClosedMonths)$$
RACE := go test -race -p 1 -timeout 40m
.PHONY: $(GO_PARTS)
race-queries:
	$(RACE) ./queries
race-ingest:
	$(RACE) ./ingest/...
race-warehouse:
	$(RACE) ./warehouse/...
race-simulate:
	$(RACE) -run '$(WORKERS)' ./internal/simulate
race-rest:
	$(RACE) $$(go list ./... | grep -vxE 'ombor/(queries|ingest(/.*)?|warehouse(/.*)?|internal/simulate|$(subst $(space),|,$(ALONE)))')
test-alone:
	go test -p 1 -timeout 40m $(ALONE:%=./%) ./internal/simulate

test-conformance: bin/ombor ## clickhouse-go's own HTTP tests against the embedded engine
	go run ./warehouse/engine/conformance

test-end-to-end: bin/ombor $(END_TO_END_NEEDS) ## the real binary, the real packs, the page in Chromium
	@$(MAKE) $(AT_ONCE) -j4 $(END_TO_END_PARTS)

# Four parts: what is killed, what breaks, what is read on the page, what is done.
CRASHES := ^Test(Crash|Standby|Nothing|Verify|Rebuild|Compact)
FAULTS  := ^Test(Parts|FullDisk|Backup|Operate)
PAGE    := ^Test(Demo|SignInWithBrowser)$$
END_TO_END := go test -count=1 -timeout 60m -tags endtoend
.PHONY: $(END_TO_END_PARTS)
end-to-end-crashes:
	$(END_TO_END) -run '$(CRASHES)' ./cmd/ombor
end-to-end-faults:
	$(END_TO_END) -run '$(FAULTS)' ./cmd/ombor
end-to-end-page:
	$(END_TO_END) -run '$(PAGE)' ./cmd/ombor
end-to-end-paths:
	$(END_TO_END) -skip '$(CRASHES)|$(FAULTS)|$(PAGE)' ./cmd/ombor

# SEED repeats the events and the moments of a run.
test-crash: ROUNDS ?= 1000
test-crash: bin/ombor $(DUCKDB) $(NATS_SERVER) ## the server is killed under load: ROUNDS=1000 [SEED=…]
	ROUNDS=$(ROUNDS) SEED=$(SEED) go test -count=1 -v -timeout 24h -tags endtoend -run '^TestCrash' ./cmd/ombor

# EVENTS, ROUNDS and SCALE may be given; docs/performance.md says what is measured. The
# time never decides: a measurement fails only when the work was not the same.
BENCH := go test -count=1 -timeout 4h -tags bench ./cmd/ombor

bench-ingest: bin/ombor ## Ombor against the engine alone and a plain inserter
	$(BENCH) -run '^TestBenchIngest$$'
	@cat .tools/bench/ingest.txt

bench-kpi: bin/ombor ## answers over HTTP, from rollups and from facts
	$(BENCH) -run '^TestBenchKPI$$'
	@cat .tools/bench/kpi.txt

# What is told of the index comes first; both indexes are removed afterwards, 100 million ids
# take 4.3 GB.
IDS ?= 100000000
bench-scale: bin/ombor ## what an event costs with IDS=100000000 ids known, against a million; may take an hour
	@mkdir -p .tools/bench && rm -f .tools/bench/scale.txt
	@for n in 1000000 $(IDS); do IDS=$$n INDEX=$(ROOT)/.tools/bench/index-$$n go test -count=1 -timeout 2h -tags bench -run '^TestBenchIndex$$' -v ./ingest/loader | grep -v '^=== RUN\|^--- PASS\|^PASS\|^ok' | tee -a .tools/bench/scale.txt; test $${PIPESTATUS[0]} = 0; done
	IDS=$(IDS) $(BENCH) -run '^TestBenchScale$$'
	@cat .tools/bench/scale-ingest.txt >> .tools/bench/scale.txt; rm -rf .tools/bench/index-* .tools/bench/scale-ingest.txt
	@cat .tools/bench/scale.txt

bench-latency: bin/ombor ## acknowledgement and event to KPI at half of the full load; a tenth sent twice
	$(BENCH) -run '^TestBenchLatency$$'
	@cat .tools/bench/latency.txt

bench-sql: bin/ombor ## SQL through the governed door against the engine alone, and KPI answers beside 50 slow analysts
	$(BENCH) -run '^TestBenchSQL$$'
	@cat .tools/bench/sql.txt

bench-storage: bin/ombor ## what events take on disk, by place and column
	$(BENCH) -run '^TestBenchStorage$$'
	@cat .tools/bench/storage.txt

test-server: bin/ombor $(MINIO) ## the same figures from a ClickHouse server: WAREHOUSE=https://user:password@host:8443/db (an empty one)
	@test -n "$(WAREHOUSE)" || { echo "say which: make test-server WAREHOUSE=https://user:password@host:8443/db"; exit 2; }
	WAREHOUSE="$(WAREHOUSE)" go test -count=1 -tags endtoend -run TestPartsElsewhere ./cmd/ombor

# Each fuzzer of the table in CONTRIBUTING.md, one at a time.
FUZZTIME ?= 1m
.PHONY: fuzz
fuzz: compiler ## every fuzzer, FUZZTIME=1m each
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' cmd dashboards-api ingest internal queries warehouse | sort); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' $$file); do \
			echo "== $$name in $$(dirname $$file)"; \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x -parallel 2 ./$$(dirname $$file) || exit 1; \
		done; \
	done

clean: ## remove what was built; keeps .tools
	rm -rf bin
