"""gRPC's own server, on a port of its own beside HTTP's, and on the same event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import AccessLog, note
from service.application import Service
from service.errors import StartupError
from service.gate import Gate
from service.keys import Keys
from service.readiness import LAST_STEP_SECONDS, Readiness
from service.repository.control import Control
from service.rpc.calls import Calls
from service.rpc.messages import SERVICE, file, methods
from service.rpc.methods import Methods
from service.rpc.reading import Reading
from service.settings import Settings
from service.tracing import Spans
from service.whole import Whole

SPARE_CALLS = 1024  # besides those that may wait or run: such as are read, refused, or ask little
STREAMS = 256  # calls at a time on one connection; its client keeps the others back
IDENTITY = 1  # a set of compressions, as bits: none
PING_MS, PONG_MS = 60_000, 20_000  # who does not answer a ping has left

log = logging.getLogger("sumserve.rpc")


@asynccontextmanager
async def serve(
    service: Service, whole: Whole, control: Control, keys: Keys | None, spans: Spans | None
) -> AsyncIterator[None]:
    """Serve until nothing new is to be taken; then finish what is in flight, within the drain."""
    settings = service.settings
    most = settings.queue_requests + SPARE_CALLS
    server = grpc.aio.server(options=options(settings), maximum_concurrent_rpcs=most)
    app = application(service, whole, control, keys, spans)
    calls = Calls(app, Reading(settings.body_limits()))
    name = file().services_by_name[SERVICE].full_name
    handlers = calls.handlers(methods())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    listen(server, settings, service.readiness)
    await server.start()
    log.info("gRPC on %s", address(settings))
    stopping = asyncio.create_task(_stop(server, service))
    try:
        yield
    finally:
        service.readiness.leaving.set()
        await stopping


def application(
    service: Service,
    whole: Whole,
    control: Control,
    keys: Keys | None,
    spans: Spans | None = None,
) -> ASGIApp:
    """The methods, and around them what is around the routes of HTTP."""
    gate = Gate(Methods(service, whole, control), keys)

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        note(scope, protocol="grpc")
        await gate(scope, receive, send)

    return AccessLog(noted, service.readiness, service.metrics.request, spans)


def options(settings: Settings) -> list[tuple[str, int]]:
    """gRPC's: limits, and whether others may listen on the same port.

    Nothing is taken compressed: gRPC knows no limit to what a message becomes when it is inflated.
    """
    return [
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.compression_enabled_algorithms_bitset", IDENTITY),
        ("grpc.so_reuseport", int(settings.workers > 1)),
        ("grpc.keepalive_time_ms", PING_MS),
        ("grpc.keepalive_timeout_ms", PONG_MS),
    ]


def listen(server: Any, settings: Settings, readiness: Readiness) -> None:
    """Open its port. StartupError where somebody has it by now, which the server cannot pass on:
    uvicorn keeps what happens here to itself.
    """
    where = address(settings)
    try:
        server.add_insecure_port(where)
    except RuntimeError as error:
        readiness.unable = f"cannot listen on {where} for gRPC"
        raise StartupError(readiness.unable) from error


def address(settings: Settings) -> str:
    """Host and port, as gRPC wants them."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.grpc_port}"


async def _stop(server: Any, service: Service) -> None:
    await service.readiness.leaving.wait()
    await server.stop(service.settings.drain_seconds + LAST_STEP_SECONDS)
