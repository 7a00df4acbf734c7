#!/usr/bin/env bash
# Brings a command that tests need, out of Debian's packages, where apt and its rights are at hand.
#
#     tests/bring.sh COMMAND PACKAGE...
#
# No service is started. Where it cannot, it says so and ends well: the tests that need it are skipped
# then, and say so, too. With CI set it has to be there.
set -euo pipefail

command=$1
shift
export PATH=$PATH:/usr/sbin
if type "$command" >/dev/null 2>&1; then exit 0; fi

policy=/usr/sbin/policy-rc.d # what packages ask before they start a service
if type apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    if ! [ -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
        echo "$command: apt could not install it" >&2
fi

if ! type "$command" >/dev/null 2>&1; then
    echo "$command: not there, so what needs it is not tested" >&2
    [ -z "${CI:-}" ]
fi
