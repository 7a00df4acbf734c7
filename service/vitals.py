"""What is known of the process and what it is made of, for a page of metrics.

Its memory and processor time besides are prometheus_client's own ``process_...``.
"""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes that getrusage counts in


class Vitals(Collector):
    """Of this process."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus asks."""
        build = GaugeMetricFamily(
            "sumserve_build_info",
            "1: the versions that serve",
            labels=("version", "python", "onnxruntime"),
        )
        build.add_metric(_versions(), 1)
        yield build
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
        about = "most memory that the process has had, resident"
        yield GaugeMetricFamily("sumserve_peak_resident_memory_bytes", about, value=peak)


@cache
def _versions() -> tuple[str, str, str]:
    """Of sumserve, Python and onnxruntime."""
    runtimes = (_version(name) for name in RUNTIMES)
    return version("sumserve"), platform.python_version(), next(filter(None, runtimes), "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
