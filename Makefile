# The commands worth remembering. `go test ./...` needs none of this.

FUZZ ?= 60s

.PHONY: build test e2e fuzz bench ci

build: ## a static binary in ./drey
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o drey ./cmd/drey

test: ## what a newcomer runs
	go test ./...

e2e: ## real binaries in network namespaces; needs root
	go test -tags e2e -v ./e2e/...

fuzz: ## every fuzz target in turn, FUZZ=60s each
	@bash .ci/fuzz $(FUZZ)

bench: ## every benchmark once; results go into docs/BENCHMARKS.md
	go test -run '^$$' -bench . -benchmem ./...

ci: ## what must hold before a change lands
	bash .ci/run
