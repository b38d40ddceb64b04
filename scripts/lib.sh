# shellcheck shell=sh
# What the scripts share. Sourced, never run: `. "$(dirname "$0")/lib.sh"`.
# Sets ROOT to the repository and changes into it.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT"

say() { printf '==> %s\n' "$*" >&2; }
warn() { printf '==> note: %s\n' "$*" >&2; }
die() { printf '==> cannot go on: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# Directory with PostgreSQL's server programs (Debian keeps them out of PATH), newest first.
postgres_bin() {
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -Vr); do
        if [ -x "$dir/initdb" ]; then echo "$dir"; return; fi
    done
    if have initdb; then dirname "$(readlink -f "$(command -v initdb)")"; fi
}

# Runs a command as the unprivileged user that PostgreSQL insists on.
as_postgres() {
    if is_root; then
        setpriv --reuid postgres --regid postgres --init-groups "$@"
    else
        "$@"
    fi
}

docker_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
