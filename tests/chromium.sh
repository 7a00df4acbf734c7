#!/usr/bin/env bash
# Brings the Chromium that the page is tested with, where apt and its rights are at hand.
#
# Where it cannot, it says so and ends well: the page's browser tests are skipped then. With CI set
# it has to be there.
set -euo pipefail

if command -v chromium >/dev/null; then exit 0; fi

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends chromium fonts-liberation >/dev/null ||
        echo "chromium: apt could not install it" >&2
fi

if ! command -v chromium >/dev/null; then
    echo "chromium: not there, so the page is not tested in a browser" >&2
    [ -z "${CI:-}" ]
fi
