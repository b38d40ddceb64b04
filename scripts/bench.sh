#!/bin/sh
# `make bench`: builds the release binary, measures the registry beside docker-registry and the
# engine beside Docker Swarm on this machine, prints the tables and writes benches/results.md.
# Takes about ten minutes; other work on the machine spoils the figures.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh bench
docker_answers || die "the engine's benchmark needs Docker"
export SQLX_OFFLINE=true
unset DATABASE_URL
say "building"
cargo build --release --locked
load=$(cargo bench --no-run --locked --bench load --message-format json |
    sed -n 's/.*"executable":"\([^"]*\/load-[^"]*\)".*/\1/p' | tail -1)
[ -x "$load" ] || die "the load generator was not built"

results=$(mktemp)
trap 'rm -f "$results"' EXIT
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` on $(date -u +%Y-%m-%d): $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)),"
    echo "$(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 + 0.5 }' /proc/meminfo) of memory, Linux $(uname -r), Docker $(docker version --format '{{.Server.Version}}'), docker-registry $(docker-registry --version | awk '{ print $3 }')."
    echo "Client and server share the machine, so only the ratios of one run mean something."
    echo
    python3 benches/registry.py "$load"
    echo
    python3 benches/engine.py
    echo
} >"$results"
cp "$results" benches/results.md
chmod 644 benches/results.md
cat "$results"
