"""A client of one stream, without a socket: what it sends, how often it is read, what it hears."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Message

from service.application import Service
from service.complaint import on_service_error
from service.errors import ServiceError
from service.manifest import Manifest
from service.protocol import LEFT
from service.streams.streamed import Streamed, Streams

T = TypeVar("T")


class Talk:
    """An ASGI scope with its two ends. ``reads`` is how often the server asked for more."""

    def __init__(
        self,
        parts: Iterable[bytes],
        headers: dict[str, str] | None = None,
        client: str = "me",
        stays: bool = False,
    ) -> None:
        """stays: it neither ends nor sends any more."""
        self._parts: Iterator[bytes] = iter(parts)
        self._stays = stays
        self.reads, self.sent, self.ended, self.cut = 0, bytearray(), False, False
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.reading = asyncio.Event()  # cleared: nothing of the answer is read
        self.reading.set()
        self.reading_body = asyncio.Event()  # cleared: nothing but its head is
        self.reading_body.set()
        self.log: dict[str, Any] = {}
        raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self.scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/", "headers": raw, "client": (client, 1),
            "state": {"sumserve.cut": self._close}, "sumserve.log": self.log,
        }  # fmt: skip

    def leave(self) -> None:
        """The connection is lost."""
        self.scope["state"][LEFT]()

    async def receive(self) -> Message:
        self.reads += 1
        if self.cut:
            return {"type": "http.disconnect"}
        await asyncio.sleep(0)
        part = next(self._parts, None)
        if part is None and self._stays:
            await asyncio.Future()
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(self, message: Message) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            await self.reading_body.wait()
            self.sent += message.get("body", b"")
            self.ended |= not message.get("more_body", False)

    def _close(self, at_once: bool) -> None:
        self.cut = True

    async def held(self, streams: Streams, name: str) -> None:
        """The whole of it."""
        request = Request(self.scope, self.receive)
        try:
            await Streamed(streams, request, name)(self.scope, self.receive, self.send)
        except ServiceError as error:
            answer = await on_service_error(request, error)
            await answer(self.scope, self.receive, self.send)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it heard, as JSON."""
        return [json.loads(line) for line in bytes(self.sent).splitlines()]


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Let others work until it is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.002)


async def settled(value: Callable[[], T]) -> T:
    """Let others work until nothing changes any more."""
    before, same = value(), 0
    async with asyncio.timeout(20):
        while same < 20:
            await asyncio.sleep(0.005)
            now = value()
            same, before = (same + 1 if now == before else 0), now
    return before


def described(service: Service, name: str) -> Manifest:
    """What a model says of itself."""
    return service.catalog.find(name).manifest


def run(service: Service, talk: Talk, name: str) -> Talk:
    """One stream to its end, on a loop of its own."""
    to_its_end(talk.held(Streams(service), name))
    return talk


def to_its_end(work: Coroutine[Any, Any, None], seconds: float = 60) -> None:
    """On a loop of its own, within some time."""
    asyncio.run(asyncio.wait_for(work, seconds))
