#!/usr/bin/env bash
# Format, vet, staticcheck, and the import rules of docs/ARCHITECTURE.md. The
# tools' versions are pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

tool() { go tool -modfile=tools/go.mod "$@"; }

echo "== gofumpt"
unformatted=$(tool gofumpt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted (make fmt does it):"
	echo "$unformatted"
	exit 1
fi

echo "== go vet"
go vet ./...

echo "== staticcheck"
tool staticcheck ./...

echo "== depguard (the imports' arrows: .depguard.yml)"
tool depguard ./...
