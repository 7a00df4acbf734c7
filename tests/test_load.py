"""The server under load, as its users meet it: a real process, real sockets, many clients."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.process import ServerProcess
from service.bundle import Bundle
from service.graph import Options
from service.pack import Array, Pack
from service.session import Session
from tests.conftest import SHIPPED

REQUESTS, CLIENTS = 2000, 64
MODELS = ("digits", "polynomial", "digit_sum")
Send = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, and what must come back: outputs, or a status."""

    send: Send
    status: int
    wanted: list[Array] | None = None


@cache
def session(name: str) -> Session:
    return Session(Bundle.open(SHIPPED / name / "1"), Options())


def alone(name: str, sequence: Array) -> Array:
    """The bundle run on one sequence by itself."""
    manifest = session(name).manifest
    output = manifest.outputs[0]
    pack = Pack.of(manifest.columns[0].name, [sequence])
    return pack.per_sequence(session(name).run(pack)[output.name], output.per)[0]


def draw(name: str, rng: np.random.Generator) -> list[Array]:
    """One to four sequences, most short, some of a thousand tokens."""
    lengths = np.exp(rng.normal(3, 1.2, rng.integers(1, 5))).astype(int).clip(1, 1000)
    if name == "digit_sum":
        return [rng.integers(1, 10, n * rng.integers(0, 2)) for n in lengths]
    if name == "polynomial":
        return [rng.random((n, 4), np.float32) for n in lengths]
    return [rng.integers(0, [8, 8, 17], (n, 3)).astype(np.float32) for n in lengths]


def post(model: str, body: Any, **options: Any) -> Send:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda client: client.post(f"/v1/models/{model}/predict", content=content, **options)


def valid(i: int, rng: np.random.Generator) -> Sent:
    name = MODELS[i % len(MODELS)]
    sequences = draw(name, rng)
    body = {"sequences": [s.tolist() for s in sequences]}
    return Sent(post(name, body), 200, [alone(name, s) for s in sequences])


async def unending(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range(mebibytes):
        yield b" " * 2**20


def chunked(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    return client.post("/v1/models/digits/predict", content=unending(4))


INVALID = [
    Sent(post("digits", b'{"sequences": [[[1,'), 400),
    Sent(post("digits", {"sequences": [[[1, 2]]]}), 400),
    Sent(post("digits", {"sequences": [[[1, 2, 3], [1, 2]]]}), 400),
    Sent(post("digits", b'{"sequences": [[[1, 2, NaN]]]}'), 400),
    Sent(post("digits", b'{"sequences": [[[1, 2, Infinity]]]}'), 400),
    Sent(post("digits", b'{"sequences": [[[1, 2, 1e200]]]}'), 400),
    Sent(post("digit_sum", {"sequences": [[1, 2, 10]]}), 400),
    Sent(post("digits", {"sequences": []}), 400),
    Sent(post("digits", {"sequences": [[[1, 2, 3]], []]}), 400),
    Sent(post("digit_sum", {"sequences": [[1] * 20_001]}), 400),
    Sent(post("digits", b" " * 2_000_001), 413),
    Sent(chunked, 413),
    Sent(post("nothing", {"sequences": [[[1, 2, 3]]]}), 404),
    Sent(lambda client: client.get("/v1/models/digits/predict"), 405),
    Sent(post("digits", {"sequences": []}, headers={"Content-Type": "text/csv"}), 415),
]


async def load(url: str, requests: list[Sent]) -> list[httpx.Response]:
    """Send everything from CLIENTS concurrent clients, each on a connection of its own."""
    waiting = iter(enumerate(requests))
    found: dict[int, httpx.Response] = {}

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=120) as http:
            for i, request in waiting:
                found[i] = await request.send(http)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return [found[i] for i in range(len(requests))]


def assert_equal(found: list[Any], wanted: list[Array]) -> None:
    """To the last bit of float32, which is more than the 1e-5 that is promised."""
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.array(a, np.float32).reshape(b.shape), b)


def test_every_valid_request_is_answered_as_if_alone_and_every_invalid_one_refused(
    server: ServerProcess,
) -> None:
    rng = np.random.default_rng(0)
    requests = [
        INVALID[i // 20 % len(INVALID)] if i % 20 == 7 else valid(i, rng) for i in range(REQUESTS)
    ]
    answers = asyncio.run(load(server.url, requests))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] == REQUESTS * 95 // 100
    assert not [status for status in statuses if status >= 500]
    for request, answer in zip(requests, answers, strict=True):
        assert answer.status_code == request.status, answer.text
        if request.wanted is None:
            assert list(answer.json()) == ["error"]
            assert str(SHIPPED) not in answer.text
            assert "Traceback" not in answer.text
        else:
            assert_equal(answer.json()["outputs"], request.wanted)


def test_a_full_queue_answers_429_and_serves_what_it_took() -> None:
    body = json.dumps({"sequences": [np.zeros((4000, 3)).tolist()]}).encode()

    async def flood(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            return await asyncio.gather(*(post("digits", body)(http) for _ in range(40)))

    with ServerProcess(SHIPPED, queue_tokens=8000, step_tokens=4000, grace_seconds=0) as process:
        answers = asyncio.run(flood(process.url))
        assert post_one(process.url).status_code == 200
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "1"
            assert "its limit of 8000" in answer.json()["error"]


def post_one(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/digit_sum/predict", content=b'{"sequences": [[1]]}')


def test_what_is_not_done_when_the_drain_is_over_is_answered_with_503() -> None:
    body = json.dumps({"sequences": [np.zeros((20_000, 3)).tolist()] * 8}).encode()

    async def flood(process: ServerProcess) -> Counter[int]:
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
            waiting = [asyncio.ensure_future(post("digits", body)(http)) for _ in range(24)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            process.terminate()
            answers = await asyncio.gather(*waiting)
        return Counter(answer.status_code for answer in answers)

    with ServerProcess(SHIPPED, grace_seconds=0, drain_seconds=0) as process:
        statuses = asyncio.run(flood(process))
        assert process.process.wait(30) == 0
    assert statuses[200] + statuses[503] == 24
    assert statuses[503] > 0


@pytest.mark.parametrize("grace", [0, 1])
def test_sigterm_in_the_middle_of_a_load_loses_no_accepted_request(grace: float) -> None:
    """Every request the server read is answered, and every answer reaches its client."""
    answered: Counter[int] = Counter()
    refused: list[str] = []
    body = json.dumps({"sequences": [np.zeros((1500, 3)).tolist()]}).encode()

    async def client(process: ServerProcess) -> None:
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as http:
            while True:
                try:
                    answer = await post("digits", body)(http)
                except httpx.TransportError as error:
                    refused.append(type(error).__name__)
                    return
                answered[answer.status_code] += 1
                if answered.total() == 100:
                    process.terminate()

    async def run(process: ServerProcess) -> None:
        await asyncio.gather(*(client(process) for _ in range(32)))

    with ServerProcess(SHIPPED, grace_seconds=grace) as process:
        asyncio.run(run(process))
        assert process.process.wait(30) == 0
        logged = [line for line in process.log_lines() if line.get("model")]
    assert {line["status"] for line in logged} == {200}
    assert answered == {200: len(logged)}
    assert answered[200] >= 100
    assert len(refused) == 32
