"""Calls without gRPC: contexts are fakes, the application is the real one over fake sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode

from service.application import Service
from service.errors import DeadlinePassed
from service.keys import Keys
from service.protocol import LEFT
from service.repository.control import Control
from service.rpc.calls import Calls
from service.rpc.messages import message
from service.rpc.reading import Reading
from service.rpc.server import application
from service.siblings import Siblings
from service.whole import Whole
from tests.service.fakes import service
from tests.service.rpc.asking import PATH, infer_request
from tests.service.wires.oip import floats

INFER = f"{PATH}/ModelInfer"
GOOD = infer_request({"x": floats([[1, 2], [3, 4]])}, model_name="vectors").SerializeToString()


class AbortedError(Exception):
    pass


class Context:
    """A call's, as grpc.aio has it."""

    def __init__(
        self,
        body: Any = GOOD,
        deadline: float | None = None,
        peer: str = "ipv4:10.0.0.7:5000",
        **metadata: str,
    ) -> None:
        self._body, self._deadline, self._peer = body, deadline, peer
        self._metadata = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        self.code: Any = None
        self.details = ""
        self.over = self.sent = False  # for gRPC: nothing can be sent any more; something was
        self.trailing: dict[str, str] = {}

    async def read(self) -> Any:
        if self._body is None:
            await asyncio.Event().wait()
        return self._body

    async def abort(self, code: Any, details: str, trailing: Any) -> None:
        self.code, self.details, self.trailing = code, details, dict(trailing)
        raise AbortedError

    async def send_initial_metadata(self, metadata: Any) -> None:
        self.sent = True
        if self.over:
            raise RuntimeError("the call is over")

    def set_trailing_metadata(self, trailing: Any) -> None:
        self.trailing = dict(trailing)

    def invocation_metadata(self) -> Any:
        return tuple(self._metadata)

    def time_remaining(self) -> float | None:
        return self._deadline

    def peer(self) -> str:
        return self._peer


def calls(served: Service, seconds: float = 60, keys: Keys | None = None) -> Calls:
    alone = Siblings()
    whole, control = Whole(served, alone), Control(served.repository, alone)
    return Calls(application(served, whole, control, keys), reading(served, seconds))


def reading(served: Service, seconds: float = 60) -> Reading:
    return Reading(replace(served.settings.body_limits(), seconds=seconds, bytes=1000))


def called(context: Context, served: Service | None = None, seconds: float = 60) -> bytes:
    """The answer; AbortedError where there is none."""
    return asyncio.run(calls(served or service(), seconds).call(INFER, context))


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The fields of the only line of the access log."""
    (found,) = [own for own in caplog.records if own.name == "sumserve.access"]
    return dict(found.__dict__["fields"])


def test_a_call_is_answered_with_its_id_and_its_model() -> None:
    context = Context(x_request_id="a7")
    found = message("ModelInferResponse").FromString(called(context))
    np.testing.assert_array_equal(np.frombuffer(found.raw_output_contents[0], "<f4"), [10])
    assert (context.trailing["x-request-id"], context.trailing["x-model"]) == ("a7", "vectors/3")
    assert context.code is None


def test_a_call_is_a_line_of_the_log_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sumserve.access"):
        called(Context(x_request_id="a7"))
    found = line(caplog)
    expected = {
        "request_id": "a7",
        "status": 200,
        "protocol": "grpc",
        "method": "POST",
        "path": INFER,
        "client": "10.0.0.7",
        "model": "vectors",
        "tokens": 2,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:10.0.0.7:5000", "10.0.0.7"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("unix:/run/socket", None),
        ("", None),
    ],
)
def test_the_client_is_the_peer_s_address(
    caplog: pytest.LogCaptureFixture, peer: str, client: str | None
) -> None:
    with caplog.at_level(logging.INFO, "sumserve.access"):
        called(Context(peer=peer))
    assert line(caplog)["client"] == client


def test_an_error_aborts_the_call_with_its_code_and_message() -> None:
    context = Context(infer_request({}, model_name="nope").SerializeToString())
    with pytest.raises(AbortedError):
        called(context)
    assert context.code is StatusCode.NOT_FOUND
    assert context.details.startswith("unknown model 'nope'")
    assert "x-request-id" in context.trailing


def test_a_full_server_says_when_to_come_again() -> None:
    served, context = service(), Context()
    served.bodies.count(2**40)
    with pytest.raises(AbortedError):
        called(context, served)
    assert context.code is StatusCode.RESOURCE_EXHAUSTED
    assert context.trailing["retry-after"] == "1"


def test_a_message_that_does_not_come_is_not_waited_for() -> None:
    context = Context(None)
    with pytest.raises(AbortedError):
        called(context, seconds=0)
    assert context.code is StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive in time; allowed are 0 seconds" in context.details


def test_an_unexpected_error_is_internal_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, context = service(), Context()
    monkeypatch.setattr(served.engine, "predict", None)
    with pytest.raises(AbortedError):
        called(context, served)
    assert context.code is StatusCode.INTERNAL
    assert "internal error" in context.details


@pytest.mark.parametrize(("deadline", "given"), [(1.5, 1.5), (None, None), (0.0, 1e-6)])
def test_the_deadline_of_a_call_is_the_engine_s(
    monkeypatch: pytest.MonkeyPatch, deadline: float | None, given: float | None
) -> None:
    served, context, seen = service(), Context(deadline=deadline), list[float | None]()

    async def engine(*about: Any) -> None:
        seen.append(about[-1])
        raise DeadlinePassed("too late")

    monkeypatch.setattr(served.engine, "predict", engine)
    with pytest.raises(AbortedError):
        called(context, served)
    assert (seen, context.code) == ([given], StatusCode.DEADLINE_EXCEEDED)


async def _until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0)


def test_the_job_of_a_client_that_leaves_leaves_the_queue(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        served = service()
        monkeypatch.setattr(served.engine, "_dispatch", lambda: None)  # nothing is ever run
        task = asyncio.create_task(_answer(calls(served), Context()))
        await _until(lambda: served.engine.queued() == {"vectors/3": 2})
        task.cancel()  # as gRPC does
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lambda: not served.engine.queued().get("vectors/3"))
        await _until(lambda: served.bodies.in_flight == 0)
        parts = served.statistics.of("vectors", "3")["inference_stats"]
        assert (parts["success"]["count"], parts["fail"]["count"]) == (0, 1)

    with caplog.at_level(logging.INFO, "sumserve.access"):
        asyncio.run(test())
    assert line(caplog)["status"] == 499


def _answer(of: Calls, context: Context) -> Coroutine[Any, Any, bytes]:
    return of.call(INFER, context)


def test_metadata_that_is_not_asked_for_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = dict[bytes, bytes]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope["headers"])
        assert LEFT not in scope["state"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    passed = {"x_api_key": "k", "authorization": "Bearer b"}
    others = {"accept_encoding": "gzip", "content_length": "9", "x_new": "1"}
    context = Context(GOOD, None, "", **passed, **others)
    assert asyncio.run(Calls(app, reading(service())).call(INFER, context)) == b"ok"
    assert seen == {b"x-api-key": b"k", b"authorization": b"Bearer b"}
