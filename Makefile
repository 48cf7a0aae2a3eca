# `make help` prints this file's own words: a target is documented by the line
# that follows it with two number signs.

# How long each fuzz target runs.
FUZZTIME ?= 2m

# Which benchmarks run, by their names in bench.
BENCH ?= .

GO   ?= go
LINT := $(GO) tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run every test with the race detector; say how many cases the store's suite has
	scripts/test

.PHONY: check
check: check-format check-text check-modules check-vet check-lint ## Run every static check

.PHONY: check-format
check-format: ## Go files are as gofmt writes them
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then \
		echo "gofmt would change these; run gofmt -w on them:" && echo "$$unformatted" && exit 1; fi

.PHONY: check-text
check-text: ## No word in the tree that belongs elsewhere; every exception has a reason
	scripts/text-check

# Tidying also looks for the tests of dependencies, whose own dependencies a
# package source may lack; they have no part in go.mod, and -e goes on without.
# That go.sum has what is needed shows in every build, which may not add to it.
.PHONY: check-modules
check-modules: ## go.mod says what the code needs, and the modules are what go.sum says
	@tidy=$$(mktemp -d) && trap 'rm -rf "$$tidy"' EXIT && cp go.mod go.sum "$$tidy" && \
		$(GO) mod tidy -e -modfile="$$tidy/go.mod" 2>"$$tidy/log" || { cat "$$tidy/log"; exit 1; }; \
		diff -u go.mod "$$tidy/go.mod" || { cat "$$tidy/log"; echo "go.mod is not tidy; run go mod tidy (-e)"; exit 1; }
	$(GO) mod verify

.PHONY: check-vet
check-vet: ## go vet
	$(GO) vet ./...

.PHONY: check-lint
check-lint: ## The checks of .golangci.yml, which gives each one's reason (the first run builds the linter: a minute or two)
	$(LINT) run

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (2m) and keep what it learned under testdata/fuzz
	FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: model
model: ## Try every history of the revocation protocol within large bounds: minutes, and a few GB of memory
	$(GO) test ./verify/protocol -count=1 -timeout 2h -v -large

.PHONY: requests
requests: ## Ten thousand generated requests at each dialect: no fault of ours, no answer off its document
	LATCHKEY_REQUESTS=10000 $(GO) test ./dialect/... -run '^TestGeneratedRequests$$' -count=1 -v

# go test passes when no test has the name, hence the search for its result.
.PHONY: matrix
matrix: ## Write docs/permissions.md anew from the routes and roles
	$(GO) test ./rest -run '^TestPermissionMatrix$$' -count=1 -v -update | tee /dev/stderr | grep '^--- PASS: TestPermissionMatrix' >/dev/null

.PHONY: jose
jose: ## Have 50,000 tokens checked by npm's jose, by our key set alone, while signing keys rotate
	$(GO) test ./token -run '^TestJoseThroughRotations$$' -count=1 -timeout=30m -v -args -long

# Rounds that were finished are noted in STATE, so that an interrupted campaign
# goes on where it was; remove it to begin anew.
STATE ?= $(CURDIR)/bin/campaign.json

.PHONY: crash
crash: ## Kill servers and stores under load, fill disks, race revocations, repeat calls, over and over, and look for what is lost
	@mkdir -p bin
	$(GO) test ./campaign -run '^Test(Crash|Disk|Leaked|Repeated)' -count=1 -timeout=0 -v -args -long -state=$(STATE)

.PHONY: history
history: ## Let 8 writers make 80,000 changes on PostgreSQL, follow them, and hold their order against that of the commits
	@mkdir -p bin
	$(GO) test ./campaign -run '^TestHistory$$' -count=1 -timeout=0 -v -args -long -state=$(STATE)

.PHONY: brokers
brokers: ## Revoke keys fifty times while they are logged in, and log in, at a real RabbitMQ
	$(GO) test ./broker -run '^TestRabbitMQ$$' -count=1 -timeout=0 -v -args -long

.PHONY: replays
replays: ## Send signed requests again, to two nodes, through restarts and steps of the clock, and count what is accepted twice
	@mkdir -p bin
	$(GO) test ./campaign -run '^TestReplays$$' -count=1 -timeout=0 -v -args -long

.PHONY: nodes
nodes: ## Three nodes on one database: 200 histories with faults, revocations under load, keys usable at once, noise; prints what was reached
	@mkdir -p bin
	$(GO) test ./campaign -run '^Test(Nodes|Spread|Usable|Noise)$$' -count=1 -timeout=0 -v -args -long -state=$(STATE)

.PHONY: uses
uses: ## Use 50,000 keys within ten seconds, lose answers behind commits of uses, kill the server; on both stores; prints what was reached
	$(GO) test ./campaign -run '^TestUses$$' -count=1 -timeout=0 -v -args -long

.PHONY: connections
connections: ## Let verifications compete with 10,000 idle connections and 2,000 slow ones for 5 minutes (needs ulimit -n 20000)
	$(GO) test ./campaign -run '^TestConnections$$' -count=1 -timeout=0 -v -args -long

.PHONY: bench
bench: ## Measure, and print the figures beside their floors (BENCH=Create: only that)
	LATCHKEY_TEST_POSTGRES_FOLDER=$${TMPDIR:-/tmp} scripts/with-postgres $(GO) test ./bench -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 60m -v
	$(GO) test ./verify -run '^$$' -bench '$(BENCH)' -timeout 60m
	$(GO) run ./cmd/latchkey bench

# The version is in the build information, from the tag; -buildvcs is said
# because a machine's GOFLAGS may turn it off.
.PHONY: build
build: ## Build bin/latchkey, static and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o bin/latchkey ./cmd/latchkey

.PHONY: fresh-clone
fresh-clone: ## Run .ci/run on a clone of HEAD, with empty caches (--keep-modules: scripts/fresh-clone)
	scripts/fresh-clone

.PHONY: clean
clean: ## Remove what make built
	rm -rf bin
