"""A peer's process on a free loopback port, ready on entry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Self

from benchmarks.process import ServerProcess, free_port


class Peer(ServerProcess):
    """Any command that listens on the port it is given and answers /v2/health/ready."""

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command(self.port)

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise


def app(factory: str) -> Peer:
    """One of `benchmarks.peers.apps`, under uvicorn with its fastest parts."""

    def command(port: int) -> list[str]:
        uvicorn = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.peers.apps:{factory}"]
        parts = ["--loop", "uvloop", "--http", "httptools", "--timeout-keep-alive", "75"]
        return [*uvicorn, *parts, "--port", str(port), "--no-access-log", "--log-level", "warning"]

    return Peer(command)
