"""Whatever becomes of a request, its bytes are given back and its model's counts are right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from service.application import Service
from service.errors import ClientGone, DeadlinePassed, QueueFull, ServiceError, StepFailed
from service.prediction import respond
from service.protocol import LEFT
from service.wires.exchange import infer, predict
from tests.service.fakes import service
from tests.service.wires.oip import as_json

GOOD = b'{"sequences": [[[1, 2], [3, 4]]]}'


def a_request(body: bytes, headers: Mapping[str, str] | None = None) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    log: dict[str, Any] = {}
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "headers": pairs, "state": {}, "sumserve.log": log}
    return Request(scope, receive)


def failing(error: Exception) -> Callable[..., Any]:
    async def raises(*_: object) -> None:
        raise error

    return raises


async def waits(*_: object) -> None:
    await asyncio.sleep(60)


def counts(served: Service) -> tuple[int, int]:
    parts = served.statistics.of("vectors", "3")["inference_stats"]
    return parts["success"]["count"], parts["fail"]["count"]


def test_an_answer_gives_its_bytes_back_and_is_counted() -> None:
    async def test() -> None:
        served = service()
        found = await respond(served, predict, a_request(GOOD), "vectors")
        assert found.status_code == 200
        assert (served.bodies.in_flight, counts(served)) == (0, (1, 0))

    asyncio.run(test())


OUTCOMES: list[tuple[Callable[..., Any], bytes, type[ServiceError]]] = [
    (failing(StepFailed("x")), GOOD, StepFailed),
    (failing(QueueFull("x")), GOOD, QueueFull),
    (failing(StepFailed("x")), b"{}", ServiceError),
]


@pytest.mark.parametrize(("engine", "body", "error"), OUTCOMES)
def test_a_failure_gives_its_bytes_back_and_is_counted(
    engine: Any, body: bytes, error: type[ServiceError]
) -> None:
    async def test() -> None:
        served = service()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served.engine, "predict", engine)
            with pytest.raises(error):
                await respond(served, predict, a_request(body), "vectors")
        assert (served.bodies.in_flight, counts(served)) == (0, (0, 1))

    asyncio.run(test())


TIMEOUTS: list[tuple[Any, bytes, dict[str, str]]] = [
    (infer, as_json({"x": np.ones((2, 2), np.float32)}, parameters={"timeout": 1000}), {}),
    (predict, GOOD, {"x-request-timeout": "0.001"}),
]


@pytest.mark.parametrize(("wire", "body", "headers"), TIMEOUTS)
def test_a_timeout_is_the_engines(wire: Any, body: bytes, headers: dict[str, str]) -> None:
    async def test() -> None:
        served, given = service(), list[float]()

        async def engine(*about: Any) -> None:
            given.append(about[-1])
            raise DeadlinePassed("x")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served.engine, "predict", engine)
            with pytest.raises(DeadlinePassed):
                await respond(served, wire, a_request(body, headers), "vectors")
        assert given == [0.001]

    asyncio.run(test())


def test_a_client_that_leaves_ends_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        served = service()
        monkeypatch.setattr(served.engine, "predict", waits)
        asked = a_request(GOOD)
        task = asyncio.create_task(respond(served, predict, asked, "vectors"))
        while LEFT not in asked.scope["state"]:
            await asyncio.sleep(0)
        asked.scope["state"][LEFT]()
        with pytest.raises(ClientGone):
            await task
        assert (served.bodies.in_flight, counts(served)) == (0, (0, 1))
        assert LEFT not in asked.scope["state"]

    asyncio.run(test())


def test_a_task_that_is_cancelled_otherwise_stays_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        served = service()
        monkeypatch.setattr(served.engine, "predict", waits)
        asked = a_request(GOOD)
        task = asyncio.create_task(respond(served, predict, asked, "vectors"))
        while LEFT not in asked.scope["state"]:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert served.bodies.in_flight == 0

    asyncio.run(test())
