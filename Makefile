# Two commands matter: `make run` plays the whole journey on this machine,
# `make test` sets up what the tests need and runs all of them.

.PHONY: run build test lint fmt generate

# Holdfast needs no C compiler; only the race detector of `make test` does.
build:
	CGO_ENABLED=0 go build -trimpath -o bin/holdfast ./cmd/holdfast

run: build
	./bin/holdfast dev $(ARGS)

test:
	./scripts/test.sh

lint:
	./scripts/lint.sh

fmt:
	go tool -modfile=tools/go.mod gofumpt -w .

generate:
	go generate ./...
