#!/usr/bin/env bash
# Runs a command on a bare Debian machine, as root, with the docker it lacks.
#
#     deploy/bare.sh make image test-image
#
# Installs docker, starts a private daemon, and where the base image cannot be pulled makes one out
# of Debian's own packages. Daemon, images and containers are gone when the command has ended; the
# packages stay.
set -euo pipefail

docker=/usr/bin/docker # Debian's own client: it has BuildKit in it, where others need a plugin
state=$(mktemp -d)
pid=
export DOCKER_HOST=unix://$state/docker.sock

install() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends docker.io mmdebstrap >/dev/null
}

# No bridge and no iptables: they need rights that a bare machine may not give.
# Containers use the host's network instead.
start() {
    dockerd --host "$DOCKER_HOST" --data-root "$state/data" --exec-root "$state/exec" \
        --pidfile "$state/pid" --bridge none --iptables=false --ip6tables=false --ip-masq=false \
        >"$state/log" 2>&1 &
    pid=$!
    for _ in {1..150}; do
        if "$docker" info >/dev/null 2>&1; then return; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    echo "bare: the docker daemon did not start:" >&2
    tail -n 20 "$state/log" >&2
    exit 1
}

# The daemon leaves a mount behind, its network namespace: that goes before the folder does.
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    fi
    awk -v under="$state/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r |
        xargs --no-run-if-empty umount
    rm -rf --one-file-system "$state"
}

# The one the Containerfile names, or one from the mirrors and of the release that apt uses here.
base_image() {
    local named
    named=$(sed -n 's/^ARG BASE_IMAGE=//p' "$(dirname "$0")/Containerfile")
    export BASE_IMAGE=$named
    if timeout 300 "$docker" pull --quiet "$BASE_IMAGE"; then return; fi
    export BASE_IMAGE=sumserve-base:debian
    echo "bare: $named cannot be pulled; making $BASE_IMAGE" >&2
    "$(dirname "$0")/base.sh" | "$docker" import - "$BASE_IMAGE" >/dev/null
}

trap stop EXIT
install
start
base_image
"$@"
