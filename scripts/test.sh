#!/usr/bin/env bash
# Sets up what the tests need and runs all of them: linters, then every Go test
# with the race detector, on SQLite, on a real PostgreSQL and in a real browser.
#
#   TEST_POSTGRES_URL  a PostgreSQL to use instead of a throw-away one of our own
#
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says what
# to install. Nothing is skipped for want of a dependency.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }

has_postgres() {
	[ -n "${TEST_POSTGRES_URL:-}" ] || has postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

# Ubuntu's chromium-browser may be a stub that only says "install the snap".
has_browser() {
	local name
	for name in chromium chromium-browser google-chrome google-chrome-stable; do
		if has "$name" && "$name" --version >/dev/null 2>&1; then return 0; fi
	done
	return 1
}

has_compiler() { has gcc || has clang || has cc; }

distribution() { # shellcheck disable=SC1091
	(. /etc/os-release 2>/dev/null && echo "${ID:-}")
}

missing() {
	has_compiler || echo compiler
	has_postgres || echo postgres
	has_browser || echo browser
	has curl || echo curl
}

install_missing() {
	local packages=() need
	for need in $(missing); do
		case "$need" in
		compiler) packages+=(gcc libc6-dev) ;;
		curl) packages+=(curl) ;;
		postgres) packages+=(postgresql) ;;
		browser) [ "$(distribution)" = debian ] && packages+=(chromium) ;;
		esac
	done
	[ ${#packages[@]} -gt 0 ] || return 0
	say "== installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -q -y --no-install-recommends "${packages[@]}"
}

explain_missing() {
	local need
	say "The tests need what is not here:"
	for need in "$@"; do
		case "$need" in
		compiler)
			say "  a C compiler, for Go's race detector"
			say "    Debian, Ubuntu: apt-get install gcc libc6-dev    Fedora: dnf install gcc    macOS: xcode-select --install" ;;
		postgres)
			say "  PostgreSQL's server binaries (14 or later), or TEST_POSTGRES_URL=postgres://… of a server whose databases may be created and dropped"
			say "    Debian, Ubuntu: apt-get install postgresql    Fedora: dnf install postgresql-server    macOS: brew install postgresql@17" ;;
		curl)
			say "  curl" ;;
		browser)
			say "  Chromium or Google Chrome"
			say "    Debian: apt-get install chromium    Fedora: dnf install chromium    macOS: brew install --cask chromium"
			say "    Ubuntu has it as a snap only: snap install chromium; where snaps don't run (containers), install Google's .deb of Chrome" ;;
		esac
	done
	exit 1
}

case "$(distribution)" in
debian | ubuntu) if [ "$(id -u)" = 0 ] && has apt-get; then install_missing; fi ;;
esac
lacking=$(missing)
# shellcheck disable=SC2086 # one word each
if [ -n "$lacking" ]; then explain_missing $lacking; fi

./scripts/lint.sh

echo "== go test -race"
tests=(go test -race -timeout 8m ./...)
if [ -n "${TEST_POSTGRES_URL:-}" ]; then
	exec "${tests[@]}"
fi
exec go run ./internal/testkit/pgcluster/run -- "${tests[@]}"
