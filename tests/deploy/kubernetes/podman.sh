#!/usr/bin/env bash
# The image for podman, built with buildah from the same Containerfile -> build/podman. As root on Debian.
#
# Containers run with runc and few open files: crun does not take the two versions of control groups
# side by side, and limits above what a machine allows stop a container's start.
set -euo pipefail
cd "$(dirname "$0")/../../.."

mkdir -p build/podman
cat >build/podman/storage.conf <<END
[storage]
driver = "overlay"
graphroot = "$PWD/build/podman/storage"
runroot = "$PWD/build/podman/run"
END
cat >build/podman/containers.conf <<END
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
export CONTAINERS_STORAGE_CONF=$PWD/build/podman/storage.conf
export CONTAINERS_CONF=$PWD/build/podman/containers.conf

for one in podman buildah runc catatonit mmdebstrap; do
    tests/bring.sh "$one" "$one"
done

# The base that the Containerfile names, or one made here.
BASE_IMAGE=$(sed -n 's/^ARG BASE_IMAGE=//p' deploy/Containerfile)
if ! buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 &&
    ! timeout 300 buildah pull --quiet "docker.io/library/$BASE_IMAGE"; then
    echo "podman: $BASE_IMAGE cannot be pulled; making it out of Debian's packages" >&2
    BASE_IMAGE=localhost/sumserve-base:debian
    if ! buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1; then
        deploy/base.sh | podman import --quiet - "$BASE_IMAGE"
    fi
fi
export BASE_IMAGE
IMAGE=localhost/sumserve:played BUILDER=buildah deploy/image.sh
