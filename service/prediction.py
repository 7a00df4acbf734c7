"""A prediction from its request to its response, whatever the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from service import tracing
from service.access import note, note_model
from service.answering import owned
from service.application import Service
from service.asking import asked_timeout, client
from service.catalog import Served
from service.checks import not_finite
from service.encoding import WINDOWS, deflate
from service.engine.job import cost
from service.engine.request import Answer, Outputs
from service.errors import BadRequest, ClientGone, ServiceError
from service.gate import KEY
from service.manifest import Manifest
from service.negotiation import preferred
from service.protocol import leaving
from service.statistics import Timing
from service.wires.exchange import Exchange, Reply, Wire

LARGE_BYTES = 100_000  # of a body: worth a thread

T = TypeVar("T")


async def respond(
    service: Service, wire: Wire, request: Request, name: str, version: str | None = None
) -> Response:
    """Receive, decode, run, encode. Statistics count what a model was asked and could be read."""
    started = time.perf_counter()
    with ExitStack() as stack:
        held = stack.enter_context(service.bodies.holding())
        body = await service.bodies.receive(request, held)
        tracing.part(request.scope, "receive", started, time.perf_counter())
        response = await respond_to(service, wire, request, (name, version), body, started)
        return owned(response, held, stack, service.settings.body_seconds)


async def respond_to(
    service: Service,
    wire: Wire,
    request: Request,
    model: tuple[str, str | None],
    body: bytes | bytearray,
    started: float,
) -> Response:
    """The same of a body that is there. model: name and version; started: when it was begun."""
    with service.catalog.find(*model) as served:
        note_model(request.scope, served.manifest)
        try:
            return await _answered(service, wire, request, served, body)
        except ServiceError:
            service.statistics.failed(served.id, time.perf_counter() - started)
            raise


async def _answered(
    service: Service, wire: Wire, request: Request, served: Served, body: bytes | bytearray
) -> Response:
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw
    }
    large, manifest = len(body) > LARGE_BYTES, served.manifest
    begun = time.perf_counter()
    exchange = await call(service, large, wire, body, headers, manifest, service.limits)
    decoded, timeout = time.perf_counter(), allowed(exchange, headers)
    if key := request.scope.get(KEY):
        key.take(sum(map(cost, exchange.pack.lengths.tolist())), decoded)
    answer = await _run(service, request, timeout, served, exchange)
    returned = time.perf_counter()
    usage = _usage(answer, exchange)
    large = large or sum(rows.nbytes for rows in answer.outputs.values()) > LARGE_BYTES
    about = manifest, exchange, answer.outputs, usage, headers
    reply = await call(service, large, _reply, *about)
    ended = time.perf_counter()
    tracing.answered(request.scope, begun, decoded, answer, returned)
    service.drift.look(served, exchange.pack)
    took = answer.queue_ms / 1e3, decoded - begun, answer.compute_ms / 1e3, ended - returned
    count(service, request, served.id, usage, Timing(*took), ended - begun)
    return Response(reply.body, headers=dict(reply.headers))


def count(
    service: Service,
    request: Request,
    model: str,
    usage: Mapping[str, Any],
    timing: Timing,
    seconds: float,
) -> None:
    """The same figures for statistics, metrics and the log line. seconds: from body to answer."""
    service.statistics.succeeded(model, usage["sequences"], timing)
    service.metrics.answered(model, timing)
    service.metrics.took(model, seconds)
    spent = {"decode_ms": timing.decode, "encode_ms": timing.encode}
    rounded = {what: round(own * 1e3, 3) for what, own in spent.items()}
    note(request.scope, **usage, **rounded)


async def _run(
    service: Service,
    request: Request,
    timeout: float | None,
    served: Served,
    exchange: Exchange,
) -> Answer:
    """The engine's answer, within the request's own time limit and while its client is there."""
    about = served.id, exchange.pack, exchange.priority, client(request), timeout
    with while_there(request):
        return await service.engine.predict(*about)


def allowed(exchange: Exchange, headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer may take, as the body says or else the headers; None: they do not."""
    return exchange.timeout or asked_timeout(headers)


@contextmanager
def while_there(request: Request) -> Iterator[None]:
    """Raises ClientGone as soon as the request's client leaves."""
    try:
        with leaving(request.scope) as left:
            yield
    except asyncio.CancelledError as error:
        if not left.set:
            raise
        raise ClientGone("the client left before its answer was there") from error


def _reply(
    manifest: Manifest,
    exchange: Exchange,
    outputs: Outputs,
    usage: Mapping[str, Any],
    accepted: Mapping[str, str],
) -> Reply:
    """The answer in the exchange's form, in what is accepted."""
    i, why = not_finite(manifest, exchange.pack.lengths, outputs)
    if why:
        raise BadRequest(f"sequence {i}: {why}")  # JSON has no word for it
    return compressed(exchange.answer(outputs, usage), accepted)


def compressed(reply: Reply, accepted: Mapping[str, str]) -> Reply:
    """What is answered, compressed where a request's headers accept that."""
    encoding = preferred(accepted.get("accept-encoding", ""), WINDOWS)
    headers = {**reply.headers, "Vary": "Accept, Accept-Encoding"}
    if encoding is None:
        return Reply(reply.body, headers)
    return Reply(deflate(reply.body, encoding), {**headers, "Content-Encoding": encoding})


def _usage(answer: Answer, exchange: Exchange) -> dict[str, float]:
    """What a request took: its size, its wait and the time of the steps it rode in."""
    return {
        "tokens": exchange.pack.tokens,
        "sequences": len(exchange.pack.lengths),
        "queue_ms": round(answer.queue_ms, 3),
        "compute_ms": round(answer.compute_ms, 3),
    }


async def call(service: Service, large: bool, function: Callable[..., T], *args: Any) -> T:
    """Small work at once; large work in a thread, so that the loop goes on answering others."""
    if not large:
        return function(*args)
    about = _frameless, function, *args
    return await asyncio.get_running_loop().run_in_executor(service.coders, *about)


def _frameless(function: Callable[..., T], *args: Any) -> T:
    """What it returns, or its error without the frames, which hold a parsed body, many times as
    large as the body, until the error is answered: more of them than there are threads.
    """
    try:
        return function(*args)
    except ServiceError as error:
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None) from None
