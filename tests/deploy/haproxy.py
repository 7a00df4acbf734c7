"""HAProxy with the configuration that ships, before whatever listens on loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.conftest import ROOT

HAPROXY = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
COMMAND = ("haproxy", "-db", "-f", str(HAPROXY))
HERE = "127.0.0.1"


def environment(replicas: Sequence[int], port: int, **ports: int) -> Mapping[str, str]:
    """What the configuration reads: where replicas are, and where it listens."""
    about = {f"REPLICA_{i}": f"{HERE}:{own}" for i, own in enumerate(replicas, 1)}
    named = {name.upper(): str(own) for name, own in ports.items()}
    return about | named | {"ADDRESS": HERE, "PORT": str(port)}


@contextmanager
def balancing(replicas: Sequence[int], port: int, **ports: int) -> Iterator[None]:
    """It, before replicas on these ports; ports: stats_port, as the configuration names them."""
    own = os.environ | environment(replicas, port, **ports)
    process = subprocess.Popen(COMMAND, env=own, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
