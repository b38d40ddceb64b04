#!/bin/sh
# Starts Docker Engine in the background when none answers.
#
#   scripts/dockerd.sh start   starts it; exit 0 means that Docker answers
#   scripts/dockerd.sh stop    stops it, if this script started it
#
# It keeps running after Portolan stops, because the containers need it. Its log and process id
# are in target/dockerd/.
. "$(dirname "$0")/lib.sh"

state=$ROOT/target/dockerd

start() {
    if docker_answers; then return 0; fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        warn "DOCKER_HOST is $DOCKER_HOST, and nothing answers there"
        return 1
    fi
    if [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
        warn "Docker runs, but this user may not use it. Join its group and log in again:
      sudo usermod -aG docker $(id -un)"
        return 1
    fi
    pid=
    if [ -d /run/systemd/system ] && { is_root || have sudo; }; then
        say "starting Docker Engine (systemctl start docker)"
        if is_root; then systemctl start docker || true
        elif [ -t 0 ] || sudo -n true 2>/dev/null; then sudo systemctl start docker || true
        fi
    elif is_root && have dockerd; then
        mkdir -p "$state"
        say "starting Docker Engine in the background; its log: $state/dockerd.log"
        # A process group of its own, so that Ctrl-C here does not stop the containers.
        setsid dockerd >"$state/dockerd.log" 2>&1 </dev/null &
        pid=$!
        echo $pid >"$state/dockerd.pid"
    else
        warn "Docker does not answer. Start it as root (\"dockerd\"); until then nothing can be deployed."
        return 1
    fi
    for _ in $(seq 60); do
        if docker_answers; then return 0; fi
        if [ -n "$pid" ] && [ ! -e "/proc/$pid" ]; then
            tail -5 "$state/dockerd.log" >&2
            break
        fi
        sleep 0.5
    done
    warn "Docker does not answer. Start it as root (\"systemctl start docker\" or \"dockerd\"); until then nothing can be deployed."
    return 1
}

stop() {
    [ -e "$state/dockerd.pid" ] || return 0
    pid=$(cat "$state/dockerd.pid")
    rm -f "$state/dockerd.pid"
    # A process id may have been given to another program since.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        say "stopping the Docker Engine started here"
        kill "$pid"
        for _ in $(seq 60); do
            [ -e "/proc/$pid" ] || return 0
            sleep 0.5
        done
    fi
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) die "use start or stop" ;;
esac
