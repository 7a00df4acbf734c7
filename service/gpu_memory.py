"""How much memory a GPU has left, as CUDA's own library says, where this process has loaded it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

MAPS = Path("/proc/self/maps")  # what lies in the process's memory, as Linux lists it
RUNTIME = re.compile(r"\S*/libcudart\.so\S*")

Memory = tuple[int, int]  # bytes: free, whoever has the rest, and in all


class GpuMemory(Collector):
    """Of the GPU of that number. Says nothing where nobody can tell."""

    def __init__(self, number: int, ask: Callable[[int], Memory | None] | None = None) -> None:
        self._number, self._ask = number, ask or memory

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus asks."""
        family = GaugeMetricFamily(
            "sumserve_gpu_memory_bytes",
            "memory of the GPU, of whichever process: free, and in all",
            labels=("kind",),
        )
        if found := self._ask(self._number):
            for kind, count in zip(("free", "total"), found, strict=True):
                family.add_metric((kind,), count)
        yield family


def memory(number: int, maps: Path = MAPS) -> Memory | None:
    """Of a GPU that this process uses; None where it uses none.

    Loads nothing: a library that is not there yet is not needed.
    """
    try:
        found = RUNTIME.search(maps.read_text(errors="replace"))
        return _asked(ctypes.CDLL(found[0]), number) if found else None
    except (OSError, AttributeError):  # another system, or a library without these functions
        return None


def _asked(library: Any, number: int) -> Memory | None:
    """The GPU has to be chosen for the calling thread: to ask for another one would open it."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if library.cudaSetDevice(number):  # it answers with the number of an error
        return None
    if library.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)):
        return None
    return free.value, total.value
