"""A real server under the benchmark's harms, with small limits: it holds what the runbook says."""

from __future__ import annotations

from benchmarks.memory import HARMS, measured
from tests.conftest import SHIPPED

BODY, IN_FLIGHT = 4, 16  # MiB
TIMES, AT_ONCE, REST = 14, 2, 40  # of a body while it is parsed; bodies; MiB besides


def test_large_bodies_take_no_more_memory_than_is_said() -> None:
    sizes = {"max_body_bytes": BODY, "max_inflated_bytes": BODY, "max_in_flight_bytes": IN_FLIGHT}
    settings = {what: str(size * 2**20) for what, size in sizes.items()}
    found = measured(HARMS["tensor data"], settings, 1, SHIPPED)
    assert found["alive"] == 200
    assert found["400"] > 0
    assert found["peak"] - found["start"] < IN_FLIGHT + AT_ONCE * TIMES * BODY + REST
