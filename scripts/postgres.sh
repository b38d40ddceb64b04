#!/bin/sh
# A throwaway PostgreSQL cluster on a free port of the loopback interface, for tests: nothing is
# synced to disk, everybody on this machine may connect.
#
#   scripts/postgres.sh start DIR   makes DIR, prints the cluster's URL
#   scripts/postgres.sh stop DIR    stops the cluster and removes DIR
. "$(dirname "$0")/lib.sh"

dir=${2:?a directory}
bin=$(postgres_bin)
[ -n "$bin" ] || die "PostgreSQL's server programs are missing; run scripts/setup.sh test"

start() {
    mkdir -p "$dir"
    if is_root; then chown postgres: "$dir"; fi
    as_postgres "$bin/initdb" --pgdata "$dir/data" --username postgres --auth trust \
        --encoding UTF8 --locale C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    # A port that was free a moment ago may be taken now, so several are tried.
    for _ in 1 2 3 4 5 6 7 8; do
        port=$(shuf -i 20000-31999 -n 1)
        if as_postgres "$bin/pg_ctl" --pgdata "$dir/data" --log "$dir/data/server.log" --silent --wait \
            --options "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
                -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
                -c max_connections=400 -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off" start \
            >/dev/null 2>&1; then
            echo "postgres://postgres@127.0.0.1:$port/postgres"
            return
        fi
    done
    cat "$dir/data/server.log" >&2
    die "the throwaway PostgreSQL does not start"
}

stop() {
    [ -d "$dir" ] || return 0
    as_postgres "$bin/pg_ctl" --pgdata "$dir/data" --silent --mode immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) die "use start or stop" ;;
esac
