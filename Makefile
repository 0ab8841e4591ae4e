# What people and CI run. Everything needed but Go itself is built into .bin.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

BIN := $(CURDIR)/.bin
# Versions of the tools, each known to build with the Go that go.mod names.
GOLANGCI := v2.15.0
DEADCODE := v0.52.0
NFPM := v2.43.0

# The packages whose decisions everything rests on, and how much of each must be covered.
CORE := internal/fleet internal/scaling internal/life internal/world
LEAST := 90
COMMA := ,

# Time for each fuzz target.
FUZZTIME ?= 10s

VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)

# The race detector needs a C compiler. Where there is none the tests run
# without it, and say so.
ifneq ($(shell command -v gcc || command -v clang || command -v cc),)
RACE := -race
else
NORACE := the race detector: no C compiler is installed
endif

# Where the binary lands, and the packages.
BINARY ?= dist/shoal
PACKAGES ?= dist
DEB ?= dist/deb

.PHONY: build packages deb test lint defects fuzz soak soak-ci planted pictures bench clean

## build: one static binary, dist/shoal
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/shoal-ci/shoal/internal/cli.version=$(VERSION)' -o $(BINARY) ./cmd/shoal

## packages: deb and rpm for amd64 and arm64, in dist
packages: $(BIN)/nfpm-$(NFPM)
	rm -f $(PACKAGES)/shoal_*.deb $(PACKAGES)/shoal-*.rpm
	VERSION='$(VERSION)' NFPM=$< packaging/build.sh $(PACKAGES) deb:amd64 deb:arm64 rpm:amd64 rpm:arm64

## deb: the one for this machine, alone in dist/deb
deb: $(BIN)/nfpm-$(NFPM)
	rm -f $(DEB)/shoal_*.deb
	VERSION='$(VERSION)' NFPM=$< packaging/build.sh $(DEB) deb:$$(go env GOARCH)

## test: every test that this machine can run; CI=true makes leaving one out a failure
# The core, the simulators and the export have no goroutine: the race detector would find nothing, in ten times the time;
# test/soak, test/edges and internal/agent run them under it. The instances that test/boot boots want both cores
# for themselves, and come last.
LOOPS := $(CORE) internal/simulate internal/simulate/... internal/history
test: $(BIN)/tally $(BIN)/nfpm-$(NFPM)
	go vet ./...
	{ go test $(RACE) -timeout 8m -json $$(go list ./... | grep -vxF -e "$$(go list $(LOOPS:%=./%) ./test/boot)"); \
		go test -coverpkg '$(subst $() ,$(COMMA),$(CORE:%=./%))' -coverprofile $(BIN)/cover.out -timeout 8m -json $(LOOPS:%=./%); \
		go test $(RACE) -timeout 8m -json ./test/boot; } \
		| $(BIN)/tally -gate '$(subst $() ,$(COMMA),$(CORE))' -profile $(BIN)/cover.out -least $(LEAST) \
		-left-out '$(NORACE)' -may 'moto_server|gitlab-runner' $(if $(filter true,$(CI)),-strict)

## lint: formatting, linters, dead code, module files, shell scripts
lint: $(BIN)/golangci-lint-$(GOLANGCI) $(BIN)/deadcode-$(DEADCODE)
	$(BIN)/golangci-lint-$(GOLANGCI) run ./...
	$(BIN)/golangci-lint-$(GOLANGCI) fmt --diff
	found=$$($(BIN)/deadcode-$(DEADCODE) -test ./...); if [ -n "$$found" ]; then echo "dead code:"; echo "$$found"; exit 1; fi
	go mod tidy -diff
	if command -v shellcheck >/dev/null; then git ls-files '*.sh' .ci/run | xargs --no-run-if-empty shellcheck; \
		else echo '*** LEFT OUT: shellcheck is not installed'; fi

## defects: each defect of the system that this one replaces, put back in on a copy, must turn its test red
defects:
	test/defects/check.sh

## fuzz: each fuzz target for FUZZTIME
fuzz:
	grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -n1 dirname | sort -u | while read -r dir; do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go | cut -d' ' -f2); do \
			echo "== $$dir $$f"; go test "./$$dir" -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s; \
		done; done

## soak: fleets under faults for SOAK, each seed another, SEEDS=0..9999 for certain ones; then EDGES of them through the real
## edges; then, as root, booted fleets under KILLS schedules of kill -9
SOAK ?= 10m
EDGES ?= 300
KILLS ?= 20
soak:
	go run ./test/soak -for $(SOAK) $(if $(SEEDS),-seeds $(SEEDS)) $(SOAKFLAGS)
	if [ $(EDGES) -gt 0 ]; then go test ./test/edges -run Fleets -count 1 -timeout 0 -v -seeds $(EDGES) | grep -vE '^ *(=== |--- PASS)'; fi
	if [ $(KILLS) -gt 0 ] && [ "$$(id -u)" = 0 ]; then go test ./test/boot -run '^TestKillSchedules$$' -count 1 -v -parallel 5 -timeout 30m -schedules $(KILLS); fi

## soak-ci: fixed seeds, each lived twice, and 400 others, for two minutes at most, that are new with each change: they are counted from the
## tree's own hash, so that what a gate has found can be found again
FRESH ?= $(shell printf %d 0x$$(git rev-parse 'HEAD^{tree}' 2>/dev/null | cut -c1-10) 2>/dev/null || date +%s)
soak-ci:
	go run ./test/soak -ci -seeds $(FRESH)..

## planted: each defect of test/planted, put into the machines, must be found by the soak's own seeds; PLANTEDFLAGS=-update writes the table of docs/reliability.md, -recorded lives only the seeds that it names
planted:
	go run ./test/planted $(PLANTEDFLAGS)

## pictures: docs/img, anew, in a real Chromium
pictures:
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		go run ./cmd/shoal simulate --trace docs/traces/team-fortnight.csv --max 80 --html "$$dir/page.html" --policy shoal --policy original \
			--policy taskscaler --policy shoal:idle=600s --policy shoal:spares=6,spares_hold=600s --policy oracle >/dev/null; \
		go run ./cmd/shoal tune --trace docs/traces/team-fortnight.csv --max 80 --max-wait p95=60s --html "$$dir/tune.html" >/dev/null; \
		go run ./test/page -simulate "$$dir/page.html" -tune "$$dir/tune.html" -to docs/img

## bench: every benchmark
bench:
	go test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf $(BIN) dist

$(BIN)/tally: $(wildcard test/tally/*.go)
	go build -o $@ ./test/tally

# The linter takes minutes to build: one of the same version on the PATH will do.
$(BIN)/golangci-lint-$(GOLANGCI):
	mkdir -p $(BIN)
	if found=$$(command -v golangci-lint) && "$$found" version 2>/dev/null | grep -qF 'version $(GOLANGCI:v%=%) '; then ln -sf "$$found" $@; \
		else GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) && mv $(BIN)/golangci-lint $@; fi

$(BIN)/deadcode-$(DEADCODE):
	GOBIN=$(BIN) go install golang.org/x/tools/cmd/deadcode@$(DEADCODE) && mv $(BIN)/deadcode $@

# By way of a folder of its own: two tests may want it at the same time.
$(BIN)/nfpm-$(NFPM):
	mkdir -p $(BIN)
	dir=$$(mktemp -d -p $(BIN)); trap 'rm -rf "$$dir"' EXIT; \
		GOBIN=$$dir go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM) && mv "$$dir/nfpm" $@
