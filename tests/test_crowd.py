"""A crowd of new clients at a busy server: all are let in, between two steps."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.streaming import steps
from tests.test_leaving import request

CROWD = 200
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_crowd_is_let_in_within_a_few_steps() -> None:
    with ExitStack() as stack:
        process = stack.enter_context(ServerProcess(SHIPPED, step_tokens=2000, grace_seconds=0))
        busy = [stack.enter_context(connect(process)) for _ in range(4)]
        for connection in busy:
            connection.sendall(request())
        deadline = time.monotonic() + 20
        while not steps(process, "digits"):
            assert time.monotonic() < deadline
        before = steps(process, "digits")  # now: later this, too, would stand in line
        crowd = [stack.enter_context(connect(process)) for _ in range(CROWD)]
        for connection in crowd:
            connection.sendall(LIVE)
        for connection in crowd:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        between = steps(process, "digits") - before
    assert between < CROWD / 2


def connect(process: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", process.port), timeout=30)
