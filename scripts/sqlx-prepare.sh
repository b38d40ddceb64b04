#!/bin/sh
# Writes .sqlx: what PostgreSQL says about every query, so that the crate compiles without a
# database. Run it after a change of SQL and commit the result.
#
#   scripts/sqlx-prepare.sh           writes .sqlx
#   scripts/sqlx-prepare.sh --check   changes nothing; fails when .sqlx is out of date
#
# DATABASE_URL: a migrated database; without it, a throwaway cluster is used.
. "$(dirname "$0")/lib.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/portolan-sqlx.XXXXXX")
chmod 755 "$scratch"
clean_up() {
    scripts/postgres.sh stop "$scratch/postgres" || true
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ -z "${DATABASE_URL:-}" ]; then
    DATABASE_URL=$(scripts/postgres.sh start "$scratch/postgres")
    for file in migrations/*.sql; do
        psql "$DATABASE_URL" --quiet --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction --file "$file" >/dev/null
    done
fi

mkdir "$scratch/sqlx"
# The macros run again only for files that look changed.
touch src/lib.rs src/main.rs tests/it/main.rs
DATABASE_URL=$DATABASE_URL SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$scratch/sqlx \
    cargo check --all-targets --locked --quiet
touch src/lib.rs src/main.rs tests/it/main.rs

if [ "${1:-}" = --check ]; then
    diff -r .sqlx "$scratch/sqlx" >"$scratch/diff" ||
        { head -50 "$scratch/diff" >&2; die ".sqlx is out of date; run scripts/sqlx-prepare.sh and commit it"; }
    say ".sqlx is up to date"
else
    rm -rf .sqlx
    cp -r "$scratch/sqlx" .sqlx
    chmod 755 .sqlx
    say "wrote $(find .sqlx -name '*.json' | wc -l) queries to .sqlx"
fi
