"""How long an event loop keeps others waiting while it serves a large request."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.peers.client import Connection, request
from benchmarks.peers.messages import Message

LIVE = request("GET", "/v2/health/live")


def longest(port: int, message: Message | None, seconds: float = 0.3) -> float:
    """The longest of /v2/health/live, asked on and on while a request is served, or for a while."""
    with Connection(port) as probe, Connection(port) as large, ThreadPoolExecutor(1) as threads:
        probe.send(LIVE)
        served = threads.submit(_serve, large, message, seconds)
        found = [_seconds(probe)]
        while not served.done():
            found.append(_seconds(probe))
        served.result()
    return max(found)


def _serve(connection: Connection, message: Message | None, seconds: float) -> None:
    if message is None:
        time.sleep(seconds)
    else:
        connection.send(message.prepared)


def _seconds(probe: Connection) -> float:
    started = time.perf_counter()
    probe.send(LIVE)
    return time.perf_counter() - started
