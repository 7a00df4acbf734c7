"""Replicas as processes, behind a balancer with the configuration that ships."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest

from benchmarks.process import ServerProcess, free_port
from tests.conftest import ROOT, SHIPPED
from tests.deploy.haproxy import COMMAND, HERE, environment

NGINX = ROOT / "deploy" / "nginx" / "nginx.conf.template"
READY = "/v2/health/ready"
KINDS = ["haproxy", pytest.param("nginx", marks=pytest.mark.deploy)]
BALANCERS = pytest.mark.parametrize("kind", KINDS)


class Replica(ServerProcess):
    """One that comes back to its own ports."""

    def __init__(self, models: Path, **settings: object) -> None:
        self.grpc_port = free_port()
        super().__init__(models, grpc_port=self.grpc_port, **settings)

    def again(self) -> None:
        """Start it anew, once it has ended; wait until it is ready."""
        self.process.wait(90)
        self.process = subprocess.Popen(
            self._command, stdout=self._log, stderr=self._log, env=self._environment
        )
        self._wait_until_ready()


def metric(url: str, name: str, labels: str = "") -> float:
    """The sum of a family's samples that have these labels."""
    page = httpx.get(f"{url}/metrics", timeout=30).text
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.M)
    return sum(float(value) for own, value in found if labels in own)


class Balanced:
    """So many replicas behind HAProxy, or two behind nginx. url: the balancer's."""

    def __init__(
        self,
        kind: str,
        *,
        replicas: int = 2,
        models: Path = SHIPPED,
        reached: Callable[[Replica], int] = lambda replica: replica.port,
        **settings: object,
    ) -> None:
        """reached: the port by which the balancer reaches a replica."""
        if shutil.which(kind) is None:
            pytest.skip(f"nothing was balanced: there is no {kind}; apt-get install {kind}")
        self._kind, self._reached = kind, reached
        settings = {"grace_seconds": 0} | settings  # nothing is lost at the end of a test
        self._made = [Replica(models, **settings) for _ in range(replicas)]
        self.port, self.grpc_port, self.stats_port = free_port(), free_port(), free_port()
        self.url = f"http://{HERE}:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.replicas = [stack.enter_context(replica) for replica in self._made]
            self._log = stack.enter_context((folder / "log").open("w+"))
            command, own = self._command(folder)
            self.process = subprocess.Popen(
                command,
                env=os.environ | own,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
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

    def metric(self, name: str, labels: str = "") -> float:
        """Of all replicas."""
        return sum(metric(replica.url, name, labels) for replica in self.replicas)

    def is_up(self, number: int) -> bool:
        """Whether HAProxy asks this replica, counted from 1."""
        labels = f'proxy="replicas",server="replica{number}",state="UP"'
        return metric(f"http://{HERE}:{self.stats_port}", "haproxy_server_status", labels) == 1

    def _command(self, folder: Path) -> tuple[Sequence[str], Mapping[str, str]]:
        reached = [self._reached(replica) for replica in self.replicas]
        ports = {"grpc_port": self.grpc_port, "stats_port": self.stats_port}
        about = environment(reached, self.port, **ports)
        if self._kind == "nginx":
            return _nginx(folder, about), {}
        grpc = {f"GRPC_{i}": f"{HERE}:{r.grpc_port}" for i, r in enumerate(self.replicas, 1)}
        return COMMAND, {**about, **grpc}

    def _stop(self) -> None:
        self.process.terminate()  # at once, and nginx takes its workers along
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

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


def _nginx(folder: Path, about: Mapping[str, str]) -> Sequence[str]:
    """The template filled in, and what nginx writes kept in a folder of its own."""
    named = " ".join(f"${name}" for name in re.findall(r"\$\{(\w+)}", NGINX.read_text()))
    filled = ["envsubst", named]
    with NGINX.open() as template:
        own = os.environ | about
        text = subprocess.check_output(filled, env=own, stdin=template, text=True)
    for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace("http {", f"http {{\n    {what}_temp_path {folder}/{what};", 1)
    folder.chmod(0o755)  # its workers are another user's
    file = folder / "nginx.conf"
    file.write_text(f"daemon off;\npid {folder}/pid;\n{text}")
    return ["nginx", "-c", str(file), "-p", str(folder)]
