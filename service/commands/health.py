"""Ask a running server whether it is ready: exit code 0 when it is, 1 when it is not.

    sumserve health --port 8080

Made for a container's HEALTHCHECK: no shell, no curl, and light, as it is asked all the time, which
is why it reads no setting but these two. --live asks only whether the process
answers. Host and port default to what `serve` is told by variables and file.
"""

from __future__ import annotations

import argparse
import os
from contextlib import closing

from service.errors import SettingsError
from service.given import HOST, PORT, gather

SUMMARY = "ask a running server whether it is ready"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the server is."""
    parser.add_argument("--host", help="address of the server")
    parser.add_argument("--port", help="port of the server")
    parser.add_argument("--live", action="store_true", help="liveness instead of readiness")
    parser.add_argument("--seconds", type=float, default=3.0, help="patience (default: 3)")


def run(args: argparse.Namespace) -> int:
    """Print the state; 0 when healthy."""
    from http.client import HTTPConnection, HTTPException

    host, port = _address(args)
    try:
        with closing(HTTPConnection(host, port, timeout=args.seconds)) as connection:
            connection.request("GET", f"/v2/health/{'live' if args.live else 'ready'}")
            response = connection.getresponse()
            print(response.read().decode(errors="replace"))
            return 0 if response.status == 200 else 1
    except (OSError, HTTPException) as error:
        print(f"no answer from {host}:{port}: {error}")
        return 1


def _address(args: argparse.Namespace) -> tuple[str, int]:
    """Where to ask: an address that is listened on is not always one that can be called."""
    given = gather(os.environ, {"host": args.host, "port": args.port})
    host = str(given["host"].value) if "host" in given else HOST
    try:
        port = int(str(given["port"].value)) if "port" in given else PORT
    except ValueError:
        named = given["port"]
        raise SettingsError(f"{named.where}: not a port: {named.value!r}") from None
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
