"""Harm done to a real server: what is sent, and what it must not cost others."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess

PREDICT = "/v1/models/digit_sum/predict"
INFER = "/v2/models/polynomial/infer"
MIB = 2**20
GOOD = b'{"sequences": [[1, 2, 3]]}'


def peak(process: ServerProcess) -> int:
    """Bytes of memory that the server has held at most, since the last `forget_peak`."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@contextmanager
def unharmed(
    process: ServerProcess, growth: int = 64 * MIB, wait: float = 2
) -> Iterator[list[float]]:
    """What is done meanwhile neither takes memory nor keeps another client waiting long."""
    Path(f"/proc/{process.process.pid}/clear_refs").write_text("5")  # forget the peak
    before, waits, over = peak(process), [0.0], threading.Event()

    def neighbour() -> None:
        while not over.is_set():
            started = time.monotonic()
            answer = httpx.post(f"{process.url}{PREDICT}", content=GOOD, timeout=30)
            waits.append(time.monotonic() - started)
            assert answer.json()["outputs"][0][0] == pytest.approx(6, abs=1e-3)

    thread = threading.Thread(target=neighbour)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
    assert len(waits) > 1
    assert max(waits) < wait
    assert peak(process) - before < growth


def connect(process: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", process.port), timeout=30)


def read_answer(connection: socket.socket) -> tuple[int, str]:
    """Status and body, once the server has closed or said all."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]
