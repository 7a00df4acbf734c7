"""A real `sumserve serve` process on a free loopback port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

SUMSERVE = str(Path(sys.executable).with_name("sumserve"))


class ServerProcess:
    """Started on entry and ready; told to stop on exit, and killed if it does not."""

    _environment: Mapping[str, str] | None = None  # ours
    _talks = False  # whether what it prints is kept with its log
    _patience = 30.0  # seconds between telling it to stop and killing it

    def __init__(self, models: Path, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        flags = {"models": models, "port": self.port, **settings}
        self._command = [SUMSERVE, "serve"]
        for name, value in flags.items():
            self._command += [f"--{name.replace('_', '-')}", str(value)]

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile("a+")  # appends, wherever we read
        printed = self._log if self._talks else None
        self.process = subprocess.Popen(
            self._command, stdout=printed, stderr=self._log, env=self._environment
        )
        self._wait_until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()
        try:
            self.process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def terminate(self) -> None:
        """SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def log_lines(self) -> list[dict[str, Any]]:
        """Every whole line logged so far.

        Read by place: the server writes through the same open file, and would move where we are.
        """
        file = self._log.fileno()
        whole, _, _ = os.pread(file, os.fstat(file).st_size, 0).rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def _wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._ready():
                return
            time.sleep(0.05)
        self._log.seek(0)
        raise AssertionError(f"the server did not start: {self._log.read()}")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
