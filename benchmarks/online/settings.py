"""The settings of every peer: all that are swept, the usual one, and that of an expert."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from benchmarks.handlers.setting import PACKED, Setting

BATCHES, THREADS, WORKERS = (1, 4, 8, 32), (2, 1), (1, 2)
# How long a batch waits to fill where nothing is said, in ms; the others wait for nothing.
WAITS = {"mosec": 10.0, "litserve": 10.0, "ray": 10.0}
EXPERTS = ("mosec", "triton")


def swept(peer: str) -> list[Setting]:
    """Every size of batch with every number of threads and workers."""
    return [Setting(peer, *sizes) for sizes in product(BATCHES, THREADS, WORKERS)]


def quiet(settings: Sequence[Setting]) -> list[Setting]:
    """The same, with threads of onnxruntime that sleep as soon as they have nothing to do."""
    return [Setting(s.peer, s.batch, s.threads, s.workers, spin=False) for s in settings]


def usual(peer: str) -> Setting:
    """Dynamic batching of up to 32 padded to the longest, and everything else as it comes."""
    return Setting(peer, 32, 2, 1, wait_ms=WAITS.get(peer, 1.0), tuned=False)


def expert(peer: str) -> Setting:
    """Batches of up to 32 run packed, by a handler that knows the model's algebra."""
    return Setting(peer, 32, 2, 1, graph=PACKED)
