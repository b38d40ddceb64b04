#!/bin/sh
# `make lint`: what CI checks before the tests, cheapest first; the first fault ends it.
#
# PORTOLAN_INSTALL_TOOLS=1 builds cargo-deny from crates.io when it is missing (some minutes);
# otherwise the dependency check is skipped with a note.
. "$(dirname "$0")/lib.sh"

say "format"
cargo fmt --check
say "scripts"
if have shellcheck; then
    shellcheck --external-sources --exclude SC1091 scripts/*.sh .ci/run
else
    warn "shellcheck is not installed; the scripts are not checked"
fi
say "clippy"
SQLX_OFFLINE=true cargo clippy --all-targets --locked --quiet -- -D warnings
say "documentation"
# Links to private items are meant: this documentation is for those who change the code.
SQLX_OFFLINE=true RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" \
    cargo doc --no-deps --document-private-items --locked --quiet
say "query cache"
DATABASE_URL='' scripts/sqlx-prepare.sh --check

if ! have cargo-deny && [ "${PORTOLAN_INSTALL_TOOLS:-}" = 1 ]; then
    say "building cargo-deny, which checks licences and origins of all libraries"
    cargo install --quiet --locked --version 0.20.2 cargo-deny
fi
if have cargo-deny; then
    say "dependencies"
    cargo deny --all-features check --hide-inclusion-graph bans licenses sources
else
    warn "cargo-deny is not installed, so licences and origins of libraries are not checked (cargo install --locked cargo-deny)"
fi
