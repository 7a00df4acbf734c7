"""Clients that leave while their requests wait: nothing more is computed for them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED

CLIENTS, SEQUENCES, TOKENS, STEP = 6, 100, 1000, 2000


def request() -> bytes:
    """A binary request for `digits`, of 50 steps."""
    pixels = np.zeros((SEQUENCES, TOKENS, 3), np.float32)
    own: dict[str, Any] = {"name": "pixels", "shape": pixels.shape, "datatype": "FP32"}
    own["parameters"] = {"binary_data_size": pixels.nbytes}
    head = json.dumps({"inputs": [own]}).encode()
    lines = [
        "POST /v2/models/digits/infer HTTP/1.1",
        "Host: x",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + pixels.nbytes}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + head + pixels.tobytes()


def statistics(process: ServerProcess) -> dict[str, int]:
    (found,) = httpx.get(f"{process.url}/v2/models/digits/stats").json()["model_stats"]
    return {
        "steps": found["execution_count"],
        "failed": found["inference_stats"]["fail"]["count"],
        "answered": found["inference_stats"]["success"]["count"],
    }


def until(true: Callable[[], bool]) -> None:
    """Wait for it, for some time."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_a_client_asked_is_dropped_when_it_leaves() -> None:
    body = request()
    with ServerProcess(SHIPPED, step_tokens=STEP, grace_seconds=0) as process:
        waiting = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(CLIENTS)]
        for connection in waiting:
            connection.sendall(body)
        until(lambda: statistics(process)["steps"] > 0)
        for connection in waiting:
            connection.close()
        until(lambda: statistics(process)["failed"] == CLIENTS)
        left = statistics(process)
        time.sleep(0.3)
        later = statistics(process)
        logged = [line for line in process.log_lines() if line.get("method") == "POST"]
    assert left["answered"] == 0
    assert later["steps"] - left["steps"] <= 2, "steps that were already with the runner"
    assert later["steps"] < CLIENTS * SEQUENCES * TOKENS / STEP
    assert [line["status"] for line in logged] == [499] * CLIENTS
