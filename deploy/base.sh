#!/usr/bin/env bash
# Writes a base image, as a tar, where the one that the Containerfile names cannot be pulled: Debian's
# own packages, of the release and from the mirrors that apt uses here. Needs mmdebstrap, and root.
#
#     deploy/base.sh | docker import - sumserve-base:debian
set -euo pipefail

sources=$(mktemp --suffix .list)
trap 'rm "$sources"' EXIT
# shellcheck disable=SC2016 # apt fills these in, not the shell
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' >"$sources"
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3-venv \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "" - "$sources"
