"""Heads and trailers that somebody sends to do harm: refused in JSON, and others unharmed."""

from __future__ import annotations

import re
from contextlib import suppress

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.hostile import GOOD, INFER, PREDICT, connect, read_answer, unharmed

LARGE_HEAD = (431, "headers are larger than the limit of 65536 bytes")
HEADS: dict[str, bytes] = {
    "a length in words": b"Content-Length: many\r\n",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n",
    "a negative length": b"Content-Length: -1\r\n",
    "no header": b"nonsense\r\n",
    # What two readers might take for two different requests, as of a balancer and a server.
    "a length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    "an encoding after chunks": b"Transfer-Encoding: chunked, identity\r\n",
    "chunks in other words": b"Transfer-Encoding: xchunked\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "a folded line": b"X-A: b\r\n Transfer-Encoding: chunked\r\n",
    "a NUL": b"X-A: b\0c\r\n",
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


def test_what_never_became_a_request_is_counted(harmed: ServerProcess) -> None:
    def refused() -> dict[str, float]:
        page = httpx.get(f"{harmed.url}/metrics").text
        found = re.findall(r'\nsumserve_requests_total\{code="(\d+)",model="",.*\} (\S+)', page)
        return {code: float(count) for code, count in found}

    before = refused()
    for head in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"):
        with connect(harmed) as connection:
            connection.sendall(head)
            read_answer(connection)
    after = refused()
    assert {code: after[code] - before.get(code, 0) for code in ("400", "431")} == {
        "400": 1,
        "431": 1,
    }
