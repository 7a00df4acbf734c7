"""Replicas as processes, behind the balancer's configuration that ships."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

import httpx
import pytest

from benchmarks.process import ServerProcess, free_port
from tests.conftest import ROOT, SHIPPED

HAPROXY = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
NGINX = ROOT / "deploy" / "nginx" / "nginx.conf.template"
READY = "/v2/health/ready"


class Replica(ServerProcess):
    """One that comes back to its own port."""

    def __init__(self, models: Path, **settings: object) -> None:
        super().__init__(models, **settings)

    def again(self) -> None:
        """Start it anew, once it has ended; wait until it is ready."""
        self.process.wait(60)
        self.process = subprocess.Popen(self._command, stderr=self._log)
        self._wait_until_ready()

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """At once."""
        os.kill(self.process.pid, sig)


class Balanced:
    """So many replicas behind HAProxy, or two behind nginx. url: the balancer's."""

    def __init__(
        self, kind: str, replicas: int = 2, models: Path = SHIPPED, **settings: object
    ) -> None:
        if shutil.which(kind) is None:
            pytest.skip(f"nothing was balanced: there is no {kind}; apt-get install {kind}")
        self._kind, self._count = kind, replicas
        self._models, self._settings = models, settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.replicas: list[Replica] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for _ in range(self._count):
                replica = Replica(self._models, **self._settings)
                self.replicas.append(stack.enter_context(replica))
            self._log = stack.enter_context((folder / "log").open("w+"))
            command, environment = self._command(folder)
            self.process = subprocess.Popen(
                command, env=os.environ | environment, stdout=self._log, stderr=self._log
            )
            stack.callback(self._stop)
            self._wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _command(self, folder: Path) -> tuple[Sequence[str], dict[str, str]]:
        about = {f"REPLICA_{i}": f"127.0.0.1:{r.port}" for i, r in enumerate(self.replicas, 1)}
        about |= {"ADDRESS": "127.0.0.1", "PORT": str(self.port)}
        if self._kind == "haproxy":
            return ["haproxy", "-f", str(HAPROXY), "-db"], about
        text = Template(NGINX.read_text()).safe_substitute(about)
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            text = text.replace("http {", f"http {{\n    {what}_temp_path {folder}/{what};", 1)
        file = folder / "nginx.conf"
        file.write_text(f"daemon off;\npid {folder}/pid;\n{text}")
        return ["nginx", "-c", str(file), "-p", str(folder)], {}

    def _stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def _wait(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(self.url + READY).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self._log.seek(0)
        raise AssertionError(f"{self._kind} does not balance: {self._log.read()[-2000:]}")
