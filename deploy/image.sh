#!/usr/bin/env bash
# Builds the image with the docker daemon that answers, or with buildah, which needs none.
#
#     deploy/image.sh                      # sumserve:dev
#     IMAGE=NAME BASE_IMAGE=NAME TARGET=gpu deploy/image.sh
#     BUILDER=buildah deploy/image.sh
#     deploy/bare.sh deploy/image.sh       # on a machine without docker, or without images to pull
set -euo pipefail
cd "$(dirname "$0")/.."

# The distribution's client first: it has BuildKit in it, where others need a plugin.
PATH=/usr/bin:$PATH

# The host's network: a build needs packages, and a private daemon has no network of its own.
options=(--network host --file deploy/Containerfile --target "${TARGET:-cpu}")
options+=(--tag "${IMAGE:-sumserve:dev}")

# What pip trusts and reads on this machine it also trusts and reads in the build.
ca=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
if [ -s "$ca" ]; then options+=(--secret "id=ca,src=$ca"); fi
if [ -s /etc/pip.conf ]; then options+=(--secret "id=pipconf,src=/etc/pip.conf"); fi
if [ -n "${BASE_IMAGE:-}" ]; then options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi

if [ "${BUILDER:-docker}" = buildah ]; then
    # In docker's format: the other one has no HEALTHCHECK. In a chroot: it needs the fewest rights.
    exec buildah bud --format docker --isolation chroot --ignorefile .dockerignore "${options[@]}" .
fi
if ! docker info >/dev/null 2>&1; then
    echo "image: nothing was built: no docker daemon answers; start one and set DOCKER_HOST," \
        "or as root on Debian: deploy/bare.sh $0" >&2
    exit 1
fi
DOCKER_BUILDKIT=1 docker build "${options[@]}" .
