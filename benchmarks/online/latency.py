"""Latencies by length class, and how far the generator itself was behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.online.arrivals import Record
from service.pack import Array

SHORT_TOKENS = 128
QUANTILES = {"p50_ms": 50, "p99_ms": 99, "p99_9_ms": 99.9}


def by_class(record: Record, lengths: Array) -> dict[str, Any]:
    """Of short requests and of the others; lengths are those of the rotation."""
    own = lengths[np.arange(len(record.due)) % len(lengths)]
    short = own <= SHORT_TOKENS
    return {
        "short": quantiles(record.latency[short]),
        "long": quantiles(record.latency[~short]),
        "generator_behind": quantiles(record.behind),
    }


def quantiles(seconds: Array) -> dict[str, float]:
    """In milliseconds, with how many there were."""
    if not len(seconds):
        return {"requests": 0}
    found = {
        name: round(1e3 * float(np.percentile(seconds, q)), 3) for name, q in QUANTILES.items()
    }
    return {"requests": len(seconds), **found}
