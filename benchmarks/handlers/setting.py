"""One way to run a peer. Its process reads it from the variable PEER, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

PLAIN, PACKED = "plain", "packed"
VARIABLE = "PEER"


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes of batches, threads of onnxruntime in each worker, and worker processes.

    graph: `plain` pads a batch of more than one, `packed` does not. wait_ms: how long a batch may
    wait to fill. tuned: a peer's own switches for speed are on.
    """

    peer: str
    batch: int
    threads: int
    workers: int
    graph: str = PLAIN
    spin: bool = True
    wait_ms: float = 1
    tuned: bool = True

    @property
    def name(self) -> str:
        """All of it in a word or two."""
        parts = [f"batch {self.batch}", f"{self.workers} x {self.threads} threads"]
        parts += ["packed"] * (self.graph == PACKED) + ["no spinning"] * (not self.spin)
        parts += ["as it comes"] * (not self.tuned)
        parts += [f"{self.wait_ms:g} ms"] * (self.batch > 1 and self.wait_ms != 1)
        return f"{self.peer}, {', '.join(parts)}"

    def environment(self, port: int, graphs: str) -> Mapping[str, str]:
        """What its process is told."""
        return {VARIABLE: json.dumps({"setting": asdict(self), "port": port, "graphs": graphs})}


@dataclass(frozen=True, slots=True)
class Place:
    """The setting of this process, the port to listen on, and where the graphs are."""

    setting: Setting
    port: int
    graphs: str

    @classmethod
    def here(cls) -> Self:
        """Raises KeyError where nothing is said."""
        found = json.loads(os.environ[VARIABLE])
        return cls(Setting(**found["setting"]), found["port"], found["graphs"])
