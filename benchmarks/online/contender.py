"""Whoever is loaded: our server as it comes, or a peer in one setting; and how each is asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.handlers.setting import Setting
from benchmarks.online.process import PeerProcess
from benchmarks.online.traffic import WIDTH, Traffic
from benchmarks.peers import messages
from benchmarks.peers.messages import Message
from benchmarks.process import ServerProcess
from benchmarks.reference import BUNDLES
from service.cpus import available_cpus
from service.pack import Array

OURS = "sumserve"
BINARY, JSON = "binary", "JSON"
SETTINGS = {"workers": available_cpus(), "log_level": "warning"}  # no peer logs every request
TOLERANCE = 1e-4  # of a sequence's largest answer, for peers; ours must be right to the last bit


@dataclass(frozen=True, slots=True)
class Contender:
    """setting: None for ours, which has a worker for every CPU and else its defaults."""

    setting: Setting | None = None

    @property
    def name(self) -> str:
        """Ours or a peer's, with its setting."""
        return OURS if self.setting is None else self.setting.name

    @property
    def peer(self) -> str:
        """Which server."""
        return OURS if self.setting is None else self.setting.peer

    @property
    def dialect(self) -> str:
        """Contenders of the same one are sent the same bytes."""
        if self.setting is None:
            return "ours"
        if self.setting.peer != "triton":
            return "raw"
        return "triton-batched" if self.setting.batch > 1 else "triton"

    def message(self, wire: str, x: Array) -> Message:
        """One sequence as a request."""
        if self.dialect == "raw":
            return messages.raw_binary(x) if wire == BINARY else messages.raw_json(x)
        if self.dialect == "ours" and wire == JSON:
            return messages.v1_json(x)
        batched = self.dialect == "triton-batched"
        if wire == JSON:
            return messages.oip_json(x, batched=batched)
        return messages.oip_binary(x, batched=batched)

    @contextmanager
    def server(self) -> Iterator[ServerProcess]:
        """While it runs."""
        if self.setting is not None:
            with PeerProcess(self.setting, self.first()) as peer:
                yield peer
            return
        with TemporaryDirectory() as folder:
            shutil.copytree(BUNDLES / "reference", Path(folder) / "reference")
            with ServerProcess(Path(folder), grace_seconds=0, **SETTINGS) as own:
                yield own

    def first(self) -> Message:
        """A small request: whatever was before it is done when it is answered."""
        return self.message(BINARY, np.ones((3, WIDTH), np.float32))

    def right(self, found: Array, wanted: Array) -> bool:
        """Whether an answer is the known one."""
        if self.setting is None:
            return found.tobytes() == wanted.tobytes()
        if found.shape != wanted.shape:
            return False
        return bool(np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max())


class Bodies:
    """Prepared requests: in memory, and as files for wrk; made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, contender: Contender, wire: str, traffic: Traffic) -> Path:
        """Every request, each after a line with its length."""
        name = f"{contender.dialect}-{wire}-{traffic.name}".replace(" ", "-")
        path = self._folder / name
        if not path.exists():
            with path.open("wb") as file:
                for x in traffic.sequences:
                    prepared = contender.message(wire, x).prepared
                    file.write(b"%d\n" % len(prepared) + prepared)
        return path
