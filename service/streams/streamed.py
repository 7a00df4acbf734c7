"""A stream as a response: who may begin one, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.access import SCOPE_KEY, note, note_error, note_model
from service.application import Service
from service.asking import asked_timeout, client
from service.catalog import Served
from service.complaint import BUG
from service.engine.admission import full
from service.errors import ClientGone, DeadlinePassed, QueueFull, ServiceError
from service.gate import KEY
from service.protocol import leaving
from service.streams.belt import Belt
from service.streams.memory import Memory
from service.streams.outgoing import Outgoing
from service.streams.passes import check_streams
from service.streams.spool import Space, Spool
from service.streams.stream import Stream
from service.streams.upload import Upload
from service.wires import streaming

log = logging.getLogger("sumserve.streams")


class Streams:
    """All streams of a service."""

    def __init__(self, service: Service) -> None:
        own = service.settings
        self.service, self._clients = service, Counter[str]()  # how many are open of each
        self.large: list[Memory] = []
        self.space = Space(own.spool_folder, own.max_spool_bytes, own.max_stream_spool_bytes)
        service.metrics.ask("open_streams", "streams that are open", lambda: self.open)
        about = "what streams keep between two passes, in memory and in files"
        service.metrics.ask("spool_bytes", about, lambda: self.space.taken)

    @property
    def open(self) -> int:
        """How many there are."""
        return self._clients.total()

    @contextmanager
    def one_more(self, client: str) -> Iterator[None]:
        """QueueFull where there are too many, and the client has its share of them."""
        self._check(client)
        self._clients[client] += 1
        try:
            yield
        finally:
            self._clients -= Counter({client: 1})  # forgets who has none

    def _check(self, client: str) -> None:
        """As the queue has it: in a full house there is room for who has less than a share."""
        most, total, own = self.service.settings.max_streams, self.open + 1, self._clients[client]
        clients = len(self._clients.keys() | {client})
        if full(total, own + 1, most, clients):
            what = f"{self.open} streams are open, of {len(self._clients)} clients"
            raise QueueFull(f"{what}; the limit is {most}", reason="streams")


class Streamed(Response):
    """Receives while it runs, and answers when all has come."""

    def __init__(
        self, streams: Streams, request: Request, name: str, version: str | None = None
    ) -> None:
        super().__init__()
        self._streams, self._service = streams, streams.service
        self._name, self._version = name, version
        self._request, self._client = request, client(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Before the answer has begun an error is an answer; later it cuts it short."""
        limits, began = self._service.settings.body_limits(), asyncio.get_running_loop().time()
        out, upload = Outgoing(scope, receive, send, limits.seconds), Upload(self._request, limits)
        stream: Stream | None = None
        try:
            with (
                self._while_client_is_there(),
                self._service.catalog.find(self._name, self._version) as served,
                self._streams.one_more(self._client),
                self._service.bodies.holding() as held,
                closing(Spool(self._streams.space)) as spool,
            ):
                memory = Memory(held, self._streams.large, limits.seconds)
                stream = self._stream(served, upload, out, spool, memory)
                async with self._in_time(began):
                    await self._counted(stream)
        except ServiceError as error:
            await self._fail(error, upload, out, stream)
        except Exception as error:  # a mistake of ours
            about = {"request_id": scope[SCOPE_KEY].get("request_id")}
            log.exception("unexpected error", exc_info=error, extra={"fields": about})
            await self._fail(ServiceError(BUG), upload, out, stream)

    def _stream(
        self, served: Served, upload: Upload, out: Outgoing, spool: Spool, memory: Memory
    ) -> Stream:
        """Whatever can be wrong before a byte is read is."""
        service, headers = self._service, self._request.headers
        manifest = served.manifest
        note_model(self._request.scope, manifest)
        check_streams(manifest)
        upload.check_encoding()
        most = service.settings.max_piece_bytes
        reader = streaming.reader(headers, manifest, service.limits, most)
        media, writer = streaming.writer(headers, manifest)
        walk = served.session.walk()
        belt = Belt(service.engine, served.id, walk, self._client)
        key = self._request.scope.get(KEY)
        if key:
            key.take(0, time.perf_counter())  # who owes something waits with the next stream
        return Stream(
            service, served, upload, reader, media, writer, out, walk, belt, spool, memory, key
        )

    @asynccontextmanager
    async def _in_time(self, began: float) -> AsyncIterator[None]:
        """DeadlinePassed past the client's own time, if it names one; else it may take hours."""
        seconds = asked_timeout(self._request.headers)
        try:
            async with asyncio.timeout_at(None if seconds is None else began + seconds) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():  # a disk's
                raise
            raise DeadlinePassed(f"the stream was not over within {seconds:g} seconds") from error

    async def _counted(self, stream: Stream) -> None:
        """Run it; statistics and the log see the same figures."""
        service, model, started = self._service, stream.served.id, time.perf_counter()
        try:
            await stream.run()
        except BaseException:
            service.statistics.failed(model, time.perf_counter() - started)
            raise
        finally:
            timing, usage = stream.timing(), stream.usage()
            spent = {"decode_ms": timing.decode, "encode_ms": timing.encode}
            rounded = {what: round(seconds * 1e3, 3) for what, seconds in spent.items()}
            note(self._request.scope, **usage, **rounded)
        service.metrics.answered(model, timing)
        service.statistics.succeeded(model, 1, timing)

    @contextmanager
    def _while_client_is_there(self) -> Iterator[None]:
        try:
            with leaving(self._request.scope) as left:
                yield
        except asyncio.CancelledError as error:
            if not left.set:
                raise
            raise ClientGone("the client left before it had its answer") from error

    async def _fail(
        self, error: ServiceError, upload: Upload, out: Outgoing, stream: Stream | None
    ) -> None:
        if not out.started:
            if upload.done or isinstance(error, ClientGone):
                raise error  # it is answered as any other
            note_error(self._request.scope, error)
            await out.refuse(error, upload)
            return
        note(self._request.scope, status=error.status)
        note_error(self._request.scope, error)
        if stream is not None and not isinstance(error, ClientGone):
            with suppress(ClientGone):
                await out.write(stream.writer.error(str(error)))
        await out.cut()
