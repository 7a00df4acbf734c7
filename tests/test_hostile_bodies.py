"""Bodies that somebody sends to do harm, to a real server: a 4xx, memory flat, others unharmed."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED

PREDICT = "/v1/models/digit_sum/predict"
INFER = "/v2/models/polynomial/infer"
MIB = 2**20
GOOD = b'{"sequences": [[1, 2, 3]]}'


@pytest.fixture(scope="module")
def harmed() -> Iterator[ServerProcess]:
    """A server with the limits that it has by itself, but for those that would take long."""
    settings = {"body_seconds": 2, "body_bytes_per_second": 1000, "grace_seconds": 0}
    with ServerProcess(SHIPPED, **settings) as process:
        yield process


def resident(process: ServerProcess) -> int:
    """Bytes of memory that the server holds."""
    pages = Path(f"/proc/{process.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def assert_unharmed(process: ServerProcess, before: int, growth: int = 64 * MIB) -> None:
    answer = httpx.post(f"{process.url}{PREDICT}", content=GOOD, timeout=30)
    assert answer.json()["outputs"][0][0] == pytest.approx(6, abs=1e-3)
    assert resident(process) - before < growth


DEPTHS = [b"[" * 10**6, b'{"sequences":' * 10**6, b'{"sequences": ' + b"[" * 10**6]
WIDE = [
    b'{"sequences": [' + b",".join([b"[]"] * 10**6) + b"]}",
    b'{"sequences": [[' + b",".join([b"1"] * 4 * 10**6) + b"]]}",
    b'{"sequences": [{' + b",".join([b'"a":[]'] * 10**6) + b"}]}",
    b'{"inputs": [' + b",".join([b"{}"] * 10**6) + b"]}",
    b'{"inputs": [], "outputs": [' + b",".join([b'{"name":"y"}'] * 10**6) + b"]}",
]


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_depth_and_width_are_refused_at_once(harmed: ServerProcess, path: str) -> None:
    before = resident(harmed)
    for body in DEPTHS + WIDE:
        answer = httpx.post(f"{harmed.url}{path}", content=body, timeout=30)
        assert answer.status_code == 400, answer.text
        assert len(answer.text) < 300
    assert_unharmed(harmed, before, 512 * MIB)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compression_bomb_is_refused_at_the_limit(harmed: ServerProcess, encoding: str) -> None:
    zeros = bytes(256 * MIB)
    bomb = gzip.compress(zeros, 9) if encoding == "gzip" else zlib.compress(zeros, 9)
    del zeros
    assert len(bomb) < 300_000
    before = resident(harmed)
    for path in (PREDICT, INFER):
        answer = httpx.post(
            f"{harmed.url}{path}", content=bomb, headers={"Content-Encoding": encoding}, timeout=30
        )
        assert answer.status_code == 413
        assert "inflates to more than the limit of 67108864 bytes" in answer.json()["error"]
    assert_unharmed(harmed, before, 128 * MIB)


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


def test_a_million_tiny_chunks_are_refused(harmed: ServerProcess) -> None:
    before = resident(harmed)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(harmed) as connection:
        connection.sendall(head.encode())
        connection.sendall(b"1\r\n \r\n" * 10**6 + b"0\r\n\r\n")
        status, error = read_answer(connection)
    assert (status, error) == (400, "the body comes in more than 65536 chunks")
    assert_unharmed(harmed, before)


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
    before = resident(harmed)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n{{"
    slow = [connect(harmed) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(head.encode())
        assert_unharmed(harmed, before)
    finally:
        for connection in slow:
            connection.close()


HEADS: dict[str, bytes] = {
    "a length in words": b"Content-Length: many\r\n",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "no header": b"nonsense\r\n",
}


@pytest.mark.parametrize("what", HEADS)
def test_what_is_no_http_is_refused_in_json(harmed: ServerProcess, what: str) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()
    with connect(harmed) as connection:
        connection.sendall(head + HEADS[what] + b"\r\n")
        assert read_answer(connection) == (400, "this is not a valid HTTP request")


def test_a_head_without_end_is_refused(harmed: ServerProcess) -> None:
    before = resident(harmed)
    with connect(harmed) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(100):
                connection.sendall(b"x" * 65536)
        except OSError:
            pass  # it has closed
        status, error = read_answer(connection)
    assert (status, error) == (431, "headers are larger than the limit of 65536 bytes")
    assert_unharmed(harmed, before)


@pytest.mark.parametrize(
    "header",
    ["Inference-Header-Content-Length", "Content-Encoding", "Content-Type", "Accept",
     "Accept-Encoding", "X-Request-Id", "Expect", "Traceparent"],
)  # fmt: skip
def test_ten_kilobytes_of_any_header_harm_nothing(harmed: ServerProcess, header: str) -> None:
    path = INFER if header.startswith("Inference") else PREDICT
    answer = httpx.post(f"{harmed.url}{path}", content=GOOD, headers={header: "9" * 10_000})
    assert answer.status_code < 500
    assert len(answer.text) < 500
    assert len(answer.headers.get("x-request-id", "")) < 200
