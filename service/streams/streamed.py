"""A stream as a response: who may begin one, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.access import note
from service.application import Service
from service.asking import client
from service.errors import ClientGone, QueueFull, ServiceError
from service.protocol import leaving
from service.streams.belt import Belt
from service.streams.outgoing import Outgoing
from service.streams.passes import check_streams
from service.streams.spool import Space, Spool
from service.streams.stream import Stream
from service.streams.upload import Upload
from service.wires import streaming


class Streams:
    """All streams of a service."""

    def __init__(self, service: Service) -> None:
        own = service.settings
        self.service, self.open = service, 0
        self.space = Space(own.spool_folder, own.max_spool_bytes, own.max_stream_spool_bytes)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """QueueFull where there are too many."""
        most = self.service.settings.max_streams
        if self.open >= most:
            raise QueueFull(f"{self.open} streams are open, which is the limit")
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


class Streamed(Response):
    """Receives while it runs, and answers when all has come."""

    def __init__(self, streams: Streams, name: str, request: Request) -> None:
        super().__init__()
        self._streams, self._service = streams, streams.service
        self._name, self._request = name, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Before the answer has begun an error is an answer; later it cuts it short."""
        limits = self._service.settings.body_limits()
        out, upload = Outgoing(scope, receive, send, limits.seconds), Upload(self._request, limits)
        stream: Stream | None = None
        try:
            with (
                self._while_client_is_there(),
                self._streams.one_more(),
                closing(Spool(self._streams.space)) as spool,
            ):
                stream = self._stream(upload, out, spool)
                await self._counted(stream)
        except ServiceError as error:
            await self._fail(error, upload, out, stream)

    def _stream(self, upload: Upload, out: Outgoing, spool: Spool) -> Stream:
        """Whatever can be wrong before a byte is read is."""
        service, headers = self._service, self._request.headers
        manifest = service.manifest(self._name)
        note(self._request.scope, model=manifest.name, version=manifest.version)
        check_streams(manifest)
        upload.check_encoding()
        most = service.settings.max_piece_bytes
        reader = streaming.reader(headers, manifest, service.limits, most)
        media, writer = streaming.writer(headers, manifest)
        walk = service.sessions[manifest.name].walk()
        belt = Belt(service.engine, manifest.name, walk, client(self._request))
        return Stream(service, manifest, upload, reader, media, writer, out, walk, belt, spool)

    async def _counted(self, stream: Stream) -> None:
        """Run it; statistics and the log see the same figures."""
        service, name, started = self._service, stream.manifest.name, time.perf_counter()
        try:
            await stream.run()
        except (ServiceError, asyncio.CancelledError):
            service.statistics.failed(name, time.perf_counter() - started)
            raise
        finally:
            timing, usage = stream.timing(), stream.usage()
            spent = {"decode_ms": timing.decode, "encode_ms": timing.encode}
            rounded = {what: round(seconds * 1e3, 3) for what, seconds in spent.items()}
            note(self._request.scope, **usage, **rounded)
        service.metrics.answered(name, timing)
        service.statistics.succeeded(name, 1, timing)

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
            note(self._request.scope, error=str(error))
            await out.refuse(error, upload)
            return
        note(self._request.scope, status=error.status, error=str(error))
        if stream is not None and not isinstance(error, ClientGone):
            with suppress(ClientGone):
                await out.write(stream.writer.error(str(error)))
        await out.cut()
