"""Bodies that somebody sends to do harm, to a real server: a 4xx, memory flat, others unharmed."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from contextlib import ExitStack

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.hostile import INFER, MIB, PREDICT, connect, read_answer, unharmed

DEPTHS = [b"[" * 10**6, b'{"sequences":' * 10**6, b'{"sequences": ' + b"[" * 10**6]
WIDE = [
    b'{"sequences": [' + b",".join([b"[]"] * 10**6) + b"]}",
    b'{"sequences": [[' + b",".join([b"1"] * 4 * 10**6) + b"]]}",
    b'{"sequences": [{' + b",".join([b'"a":[]'] * 10**6) + b"}]}",
    b'{"inputs": [' + b",".join([b"{}"] * 10**6) + b"]}",
    b'{"inputs": [], "outputs": [' + b",".join([b'{"name":"y"}'] * 10**6) + b"]}",
    b'{"sequences": [[1]], "mask": [[' + b",".join([b"true"] * 4 * 10**6) + b"]]}",
]


def tensor(shape: list[int], datatype: str, value: bytes, count: int) -> bytes:
    """A request of one input, with so many values."""
    head = f'{{"inputs": [{{"name": "x", "shape": {shape}, "datatype": "{datatype}", "data": ['
    return head.encode() + b",".join([value] * count) + b"]}]}"


TENSORS = [
    tensor([2 * 10**6, 4], "FP32", b"[1,1,1,1]", 2 * 10**6),
    tensor([2 * 10**6, 1], "FP32", b"[1]", 2 * 10**6),
    tensor([4 * 10**6], "BOOL", b"true", 4 * 10**6),
    tensor([4 * 10**6], "BYTES", b'""', 4 * 10**6),
    tensor([2**20, 2**20, 0], "FP32", b"", 0),
]


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_depth_and_width_are_refused_at_once(harmed: ServerProcess, path: str) -> None:
    for body in DEPTHS + WIDE:
        with unharmed(harmed, 20 * len(body) + 64 * MIB):
            answer = httpx.post(f"{harmed.url}{path}", content=body, timeout=30)
        assert answer.status_code == 400, answer.text
        assert len(answer.text) < 300


def test_tensors_that_are_too_large_are_refused_unread(harmed: ServerProcess) -> None:
    for body in TENSORS:
        with unharmed(harmed, 20 * len(body) + 64 * MIB):
            answer = httpx.post(f"{harmed.url}{INFER}", content=body, timeout=30)
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compression_bomb_is_refused_at_the_limit(harmed: ServerProcess, encoding: str) -> None:
    zeros = bytes(256 * MIB)
    bomb = gzip.compress(zeros, 9) if encoding == "gzip" else zlib.compress(zeros, 9)
    del zeros
    assert len(bomb) < 300_000
    for path in (PREDICT, INFER):
        with unharmed(harmed, 160 * MIB):
            headers = {"Content-Encoding": encoding}
            answer = httpx.post(f"{harmed.url}{path}", content=bomb, headers=headers, timeout=30)
        assert answer.status_code == 413
        assert "inflates to more than the limit of 67108864 bytes" in answer.json()["error"]


def test_a_million_tiny_chunks_are_refused(harmed: ServerProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with unharmed(harmed), connect(harmed) as connection:
        connection.sendall(head.encode())
        connection.sendall(b"1\r\n \r\n" * 10**6 + b"0\r\n\r\n")
        status, error = read_answer(connection)
    assert (status, error) == (400, "the body comes in more than 65536 chunks")


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_a_body_that_stops_or_trickles_is_a_408(harmed: ServerProcess, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with connect(harmed) as stopped, connect(harmed) as trickling:
        stopped.sendall(head.encode() + b"{")
        trickling.sendall(head.encode())
        started = time.monotonic()
        trickling.settimeout(0.1)
        while time.monotonic() - started < 10:
            trickling.sendall(b" ")
            try:
                assert trickling.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        trickling.settimeout(30)
        for connection in (stopped, trickling):
            status, error = read_answer(connection)
            assert status == 408
            assert "bytes of the body arrived in time; allowed are 2 seconds" in error


def test_slow_bodies_do_not_slow_others(harmed: ServerProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n{{"
    with ExitStack() as stack, unharmed(harmed, wait=0.5) as waits:
        for _ in range(100):
            stack.enter_context(connect(harmed)).sendall(head.encode())
        before, until = len(waits), time.monotonic() + 20
        while len(waits) <= before + 10 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(waits) > before + 10
