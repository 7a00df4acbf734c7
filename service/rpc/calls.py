"""Calls of gRPC as requests to an ASGI application: which is what they are, POSTs over HTTP/2.

Whatever the application does with requests over HTTP (ids, keys, the log, counts, clients that
leave) it so does with these. Knows no method and no message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import grpc
import orjson
from starlette.types import ASGIApp, Message, Scope

from service.asking import KEYS, TIMEOUT
from service.protocol import leave
from service.rpc.reading import Reading
from service.rpc.status import CODES

ASKED = {*KEYS, "x-request-id", "traceparent", "tracestate"}  # of a call's metadata, passed on
ANSWERED = {b"x-request-id", b"x-model", b"x-model-verification", b"retry-after"}  # and back
SHORTEST = 1e-6  # seconds of a deadline that has passed: of one there are none

Metadata = tuple[tuple[str, str], ...]


class Answer:
    """What an application sends."""

    status = 500
    body = b""
    metadata: Metadata = ()

    async def send(self, message: Message) -> None:
        """ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(name, value) for name, value in message["headers"] if name in ANSWERED]
            self.metadata = tuple((name.decode(), value.decode()) for name, value in own)
        else:
            self.body += message.get("body", b"")


class Calls:
    """Handlers of calls. All have one message each way."""

    def __init__(self, app: ASGIApp, reading: Reading) -> None:
        self._app, self._reading = app, reading
        self._tasks: set[asyncio.Task[None]] = set()

    def handlers(self, paths: Iterable[str]) -> dict[str, Any]:
        """Of these methods, by their names.

        To gRPC they are such as take a stream. On the wire that is the same, and here the message
        is read only once it is known who calls, and for so long and no longer.
        """
        return {path.rpartition("/")[2]: self._handler(path) for path in paths}

    def _handler(self, path: str) -> Any:
        async def call(_: object, context: Any) -> bytes:
            return await self.call(path, context)

        return grpc.stream_unary_rpc_method_handler(call)

    async def call(self, path: str, context: Any) -> bytes:
        """The answer's bytes. context: a grpc.aio.ServicerContext; an error aborts it."""
        scope, answer = _scope(path, context), Answer()

        async def receive() -> Message:
            return {"type": "http.request", "body": await self._reading.read(context, scope)}

        task = asyncio.create_task(self._run(scope, receive, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            leave(scope["state"])
            raise
        if answer.status != 200:
            message = orjson.loads(answer.body)["error"]
            await context.abort(CODES[answer.status], message, answer.metadata)
        context.set_trailing_metadata(answer.metadata)
        return answer.body

    async def _run(self, scope: Scope, receive: Any, answer: Answer) -> None:
        await self._app(scope, receive, answer.send)


def _scope(path: str, context: Any) -> Scope:
    """A call as a request. Its deadline is the time that the client is ready to wait."""
    headers = [
        (name.encode(), value.encode() if isinstance(value, str) else value)
        for name, value in context.invocation_metadata()
        if name in ASKED
    ]
    left = context.time_remaining()
    if left is not None:
        headers.append((TIMEOUT.encode(), repr(max(left, SHORTEST)).encode()))
    return {
        "type": "http",
        "http_version": "2",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": _client(context.peer()),
        "state": {},
    }


def _client(peer: str) -> tuple[str, int] | None:
    """Host and port of ``ipv4:host:port`` or ``ipv6:[host]:port``; others have none."""
    kind, _, address = unquote(peer).partition(":")
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") else None
