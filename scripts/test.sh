#!/bin/sh
# `make test`: installs what the tests need, starts a throwaway PostgreSQL cluster, runs the Rust
# tests and then the browser tests, and stops what it started. Arguments go to the Rust runner,
# e.g. `scripts/test.sh journey`.
#
# PORTOLAN_TEST_DATABASE_URL: a cluster to use instead; databases are created in it.
. "$(dirname "$0")/lib.sh"

docker_ran=no
if docker_answers; then docker_ran=yes; fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/portolan-test.XXXXXX")
chmod 755 "$scratch"
clean_up() {
    scripts/postgres.sh stop "$scratch/postgres" || true
    [ $docker_ran = yes ] || scripts/dockerd.sh stop || true
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

scripts/setup.sh test
docker_answers || die "the tests deploy real containers; without Docker they cannot run"
if [ -z "${PORTOLAN_TEST_DATABASE_URL:-}" ]; then
    say "starting a throwaway PostgreSQL cluster"
    PORTOLAN_TEST_DATABASE_URL=$(scripts/postgres.sh start "$scratch/postgres")
fi
PORTOLAN_CLIENTS=$(scripts/clients.sh | tail -1)
export PORTOLAN_CLIENTS PORTOLAN_TEST_DATABASE_URL SQLX_OFFLINE=true
unset DATABASE_URL

say "Rust tests"
# The whole system in one test opens many sockets; the default soft limit is 1024.
# shellcheck disable=SC3045
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked "$@"
else
    cargo test --locked "$@" -- --test-threads "$(nproc)"
fi

if [ $# -eq 0 ] && ls tests/browser/*.test.mjs >/dev/null 2>&1; then
    say "browser tests"
    npm --prefix tests/browser ci --ignore-scripts --no-audit --no-fund --loglevel error
    PORTOLAN_BIN=$ROOT/target/debug/portolan \
        PORTOLAN_CHROMIUM=$(command -v chromium || command -v google-chrome) \
        node --test --test-concurrency 1 tests/browser/*.test.mjs
fi
