"""What is sent to do harm gets the same status through a balancer, in JSON, as without one."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from benchmarks.peers.client import request
from tests.deploy.faults.balanced import KINDS, Balanced
from tests.hostile import GOOD, INFER, MIB, PREDICT
from tests.test_hostile_bodies import DEPTHS, TENSORS, WIDE

POST = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(80 * MIB), 9)

NO_HTTP = {
    "a length in words": POST + b"Content-Length: many\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "no header": POST + b"nonsense\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a chunk in words": CHUNKED + b"many\r\n{}\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
}
WORDS = {
    "no such path": b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "no such model": request("POST", "/v1/models/none/predict", GOOD),
    "no such method": request("PUT", PREDICT, GOOD),
    "a type that is not read": request("POST", PREDICT, GOOD, {"Content-Type": "text/csv"}),
    "a model to load": request("POST", "/v2/repository/models/digits/load", b"{}"),
    "a body in two chunks too many": CHUNKED + b"1\r\n \r\n" * 70_000 + b"0\r\n\r\n",
    "a bomb": request("POST", PREDICT, BOMB, {"Content-Encoding": "gzip"}),
    "a bomb of tensors": request("POST", INFER, BOMB, {"Content-Encoding": "gzip"}),
    "too large a body": POST + b"Content-Length: 67108865\r\n\r\n" + b" " * 2000,
    "not a number": request("POST", INFER, b'{"inputs": [{"name": "x", "data": [NaN]}]}'),
}
WORDS |= {f"depth {i}": request("POST", PREDICT, body) for i, body in enumerate(DEPTHS)}
WORDS |= {f"width {i}": request("POST", PREDICT, body) for i, body in enumerate(WIDE)}
WORDS |= {f"tensor {i}": request("POST", INFER, body) for i, body in enumerate(TENSORS)}


@pytest.fixture(scope="module", params=KINDS)
def balanced(request: pytest.FixtureRequest) -> Iterator[Balanced]:
    with Balanced(request.param) as found:
        yield found


def told(port: int, sent: bytes) -> tuple[int, str]:
    """The status, and what is said of the error."""
    status, body = answered(port, sent)
    error: str = json.loads(body)["error"]
    return status, error


def answered(port: int, sent: bytes) -> tuple[int, bytes]:
    """Status and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with suppress(OSError):  # an answer may come before all is sent
            connection.sendall(sent)
        answer = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in answer or not answer.rstrip().endswith((b"}", b"</html>")):
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("what", WORDS)
def test_the_status_is_that_of_a_replica(balanced: Balanced, what: str) -> None:
    direct, _ = told(balanced.replicas[0].port, WORDS[what])
    status, error = told(balanced.port, WORDS[what])
    assert status == direct
    assert 400 <= status < 500
    assert 0 < len(error) < 400


@pytest.mark.parametrize("what", NO_HTTP)
def test_what_is_no_http_is_a_400_before_it_is_forwarded(balanced: Balanced, what: str) -> None:
    direct, _ = told(balanced.replicas[0].port, NO_HTTP[what])
    status, body = answered(balanced.port, NO_HTTP[what])
    assert status == direct == 400
    assert len(body) < 400  # HAProxy's own is HTML, and cannot be set


def test_who_is_behind_somebody_hostile_is_answered(balanced: Balanced) -> None:
    smuggled = CHUNKED + b"0\r\n\r\nGET /v2/repository/index HTTP/1.1\r\nX: "
    with socket.create_connection(("127.0.0.1", balanced.port), timeout=30) as connection:
        connection.sendall(smuggled)
        with socket.create_connection(("127.0.0.1", balanced.port), timeout=30) as other:
            other.sendall(request("POST", PREDICT, GOOD))
            answer = other.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("both", [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
])  # fmt: skip
def test_two_ways_to_end_a_body_are_not_two_requests(balanced: Balanced, both: bytes) -> None:
    hidden = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", balanced.port), timeout=10) as connection:
        connection.sendall(POST + both + hidden)
        answer = b""
        with suppress(OSError):
            connection.settimeout(1)
            while piece := connection.recv(65536):
                answer += piece
    # Refused, or one request with an empty body and then an honest one: never one inside another.
    assert any(status in answer for status in (b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert answer.count(b"HTTP/1.1 ") <= 2
