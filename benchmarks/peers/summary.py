"""Rounds of measurements as medians, quartiles and ratios; and what they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.contenders import OURS, Parts
from benchmarks.timing import Timing, ratio

PACKAGES = ("fastapi", "pydantic", "orjson", "uvicorn", "uvloop", "httptools", "onnxruntime")


def summary(
    found: Mapping[str, Sequence[Parts]], sizes: Mapping[str, tuple[int, int]]
) -> dict[str, Any]:
    """Of each contender; and how many times faster each wire of ours is than each peer's."""
    besides = {
        name: Timing([own["total"] - own["model"] for own in rounds])
        for name, rounds in found.items()
    }
    ours = [name for name in found if name.startswith(OURS)]
    peers = [name for name in found if name not in ours]
    return {
        "contenders": {name: _contender(found[name], besides[name], sizes[name]) for name in found},
        "times_faster_than": {
            own: {peer: ratio(besides[peer], besides[own]) for peer in peers} for own in ours
        },
    }


def _contender(rounds: Sequence[Parts], besides: Timing, sizes: tuple[int, int]) -> dict[str, Any]:
    parts = {
        f"{part}_ms": round(1e3 * statistics.median(own[part] for own in rounds), 3)
        for part in rounds[0]
    }
    request, answer = sizes
    return {
        "besides_model_ms": spread(besides.rounds),
        **parts,
        "request_bytes": request,
        "answer_bytes": answer,
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles in milliseconds."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {name: round(1e3 * s, 3) for name, s in _named(low, middle, high).items()}


def _named(low: float, middle: float, high: float) -> dict[str, float]:
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}


def stalls_of(found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Of the longest wait in each round, the median, and the longest of all."""
    return {
        name: {"median_ms": spread(rounds)["median"], "longest_ms": round(1e3 * max(rounds), 3)}
        for name, rounds in found.items()
    }


def machine() -> dict[str, Any]:
    """What was measured, when and on what."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")
