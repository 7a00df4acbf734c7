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

# The base that the Containerfile names, or one from the mirrors and of the release that apt uses here.
base=$(sed -n 's/^ARG BASE_IMAGE=//p' deploy/Containerfile)
if ! buildah inspect --type image "$base" >/dev/null 2>&1 &&
    ! timeout 300 buildah pull --quiet "docker.io/library/$base"; then
    echo "podman: $base cannot be pulled; making it out of Debian's packages" >&2
    # shellcheck disable=SC2016 # apt fills these in, not the shell
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' >build/podman/sources.list
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3-pip,python3-venv \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        "" build/podman/base.tar build/podman/sources.list
    podman import --quiet build/podman/base.tar "docker.io/library/$base"
    rm build/podman/base.tar
fi

# What pip trusts and reads on this machine it also trusts and reads in the build.
options=()
ca=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
if [ -s "$ca" ]; then options+=(--secret "id=ca,src=$ca"); fi
if [ -s /etc/pip.conf ]; then options+=(--secret "id=pipconf,src=/etc/pip.conf"); fi
buildah bud --isolation chroot --network host --format docker "${options[@]}" \
    --file deploy/Containerfile --target cpu --tag localhost/sumserve:played .
