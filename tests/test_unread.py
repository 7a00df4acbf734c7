"""Clients that ask and do not read, and clients that say they are somebody else."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.service.processes import until

PATH = "/v1/models/polynomial/predict"
EXPLAIN = "/v1/models/digit_sum/explain"
TOKENS = 200_000  # their answer is of eight megabytes: no socket takes it all


@pytest.fixture(scope="module")
def hurried() -> Iterator[ServerProcess]:
    """One that waits some seconds for who reads nothing."""
    settings = {"body_seconds": 3, "keep_alive_seconds": 1, "grace_seconds": 0}
    with ServerProcess(SHIPPED, **settings) as process:
        yield process


def connect(process: ServerProcess) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before it connects
    connection.settimeout(30)
    connection.connect(("127.0.0.1", process.port))
    return connection


def request(tokens: int, connection: str) -> bytes:
    body = json.dumps({"sequences": [np.full((tokens, 4), 0.5).tolist()]}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def asked(process: ServerProcess, tokens: int, connection: str) -> socket.socket:
    """The answer's first bytes are there; nothing of it has been read."""
    found = connect(process)
    found.sendall(request(tokens, connection))
    assert found.recv(1, socket.MSG_PEEK)
    return found


def in_flight(process: ServerProcess) -> float:
    page = httpx.get(f"{process.url}/metrics", timeout=30).text
    (line,) = [line for line in page.splitlines() if line.startswith("sumserve_in_flight_bytes")]
    return float(line.split()[1])


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_large_answer_that_nobody_reads_is_counted_and_then_let_go(
    hurried: ServerProcess, connection: str
) -> None:
    with asked(hurried, TOKENS, connection):
        assert in_flight(hurried) > 1_000_000
        until(lambda: in_flight(hurried) == 0, "it is held for ever")
    lines = [line for line in hurried.log_lines() if line["message"] == "request"]
    assert any("read nothing of its answer" in line.get("error", "") for line in lines)


def files(process: ServerProcess) -> int:
    page = httpx.get(f"{process.url}/metrics").text
    return int(float(page.split("\nprocess_open_fds ")[1].split()[0]))


def test_small_answers_that_nobody_reads_end_with_their_connections(
    hurried: ServerProcess,
) -> None:
    """Asked one behind the other, until not even the system takes any more of them."""
    before = files(hurried)
    many = [asked(hurried, 2_000, "keep-alive") for _ in range(5)]
    body = request(2_000, "keep-alive")
    for own in many:
        own.setblocking(False)
        for _ in range(100):
            try:
                own.send(body)
            except BlockingIOError:
                break
    assert files(hurried) >= before + len(many)
    until(lambda: files(hurried) <= before + 1, "connections stay open")
    for own in many:
        own.close()
    assert in_flight(hurried) == 0


def test_who_asks_is_who_connects_whatever_a_header_says(hurried: ServerProcess) -> None:
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    name = {"X-Request-Id": "who-is-it"}
    httpx.get(f"{hurried.url}/v1/models", headers=headers | name)

    def found() -> list[dict[str, object]]:
        return [line for line in hurried.log_lines() if line.get("request_id") == "who-is-it"]

    lines = until(found, "there is no line of it")
    assert [line["client"] for line in lines] == ["127.0.0.1"]


def test_an_explanation_that_nobody_reads_is_counted_too(hurried: ServerProcess) -> None:
    body = json.dumps({"sequences": [[1] * 300_000]}).encode()
    head = f"POST {EXPLAIN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect(hurried) as connection:
        connection.sendall(head.encode() + body)
        assert connection.recv(1, socket.MSG_PEEK)
        assert in_flight(hurried) > 1_000_000
        until(lambda: in_flight(hurried) == 0, "it is held for ever")


def test_a_slow_reader_gets_all_of_it_however_briefly_idle_connections_are_kept() -> None:
    body = json.dumps({"sequences": [[1] * 20_000] * 15}).encode()
    head = f"POST {EXPLAIN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as stack:
        settings = {"keep_alive_seconds": 0, "grace_seconds": 0}
        connection = connect(stack.enter_context(ServerProcess(SHIPPED, **settings)))
        stack.enter_context(connection).sendall(head.encode() + body)
        told, _, first = connection.recv(4096).partition(b"\r\n\r\n")
        came = len(first)
        while piece := connection.recv(4096):
            came += len(piece)
            time.sleep(0.001)
    length = int(told.lower().split(b"content-length: ")[1].split()[0])
    assert came == length > 1_000_000
