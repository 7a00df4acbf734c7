"""Bodies that somebody sends to do harm, to a real server: a 4xx, memory flat, others unharmed."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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


def peak(process: ServerProcess) -> int:
    """Bytes of memory that the server has held at most, since the last `forget_peak`."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@contextmanager
def unharmed(process: ServerProcess, growth: int = 64 * MIB, wait: float = 2) -> Iterator[None]:
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
        yield
    finally:
        over.set()
        thread.join()
    assert len(waits) > 1
    assert max(waits) < wait
    assert peak(process) - before < growth


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
    with ExitStack() as stack, unharmed(harmed, wait=0.5):
        for _ in range(100):
            stack.enter_context(connect(harmed)).sendall(head.encode())
        time.sleep(0.3)


LARGE_HEAD = (431, "headers are larger than the limit of 65536 bytes")
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
    with unharmed(harmed), connect(harmed) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        with suppress(OSError):  # it closes
            for _ in range(100):
                connection.sendall(b"x" * 65536)
        assert read_answer(connection) == LARGE_HEAD


def test_a_large_head_in_one_piece_is_refused(harmed: ServerProcess) -> None:
    with connect(harmed) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n")
        assert read_answer(connection) == LARGE_HEAD


CHUNKED = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def test_trailers_without_end_are_refused(harmed: ServerProcess) -> None:
    with unharmed(harmed), connect(harmed) as connection:
        connection.sendall(CHUNKED + b"1\r\n{\r\n0\r\n")
        with suppress(OSError):  # it closes
            for _ in range(2000):
                connection.sendall(b"X-More: trailers\r\n" * 1000)
        assert read_answer(connection) == LARGE_HEAD


def test_trailers_are_no_headers(harmed: ServerProcess) -> None:
    trailers = b"Content-Encoding: gzip\r\nContent-Type: text/x\r\nX-Request-Id: smuggled\r\n\r\n"
    with connect(harmed) as connection:
        connection.sendall(CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD) + trailers)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"smuggled" not in answer


def test_garbage_behind_a_request_does_not_take_its_answer(harmed: ServerProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
    with connect(harmed) as connection:
        connection.sendall(head + GOOD + b"garbage\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


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
