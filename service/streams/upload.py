"""A body of any length, as it comes: not too slow, not in crumbs, and inflated bit by bit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator

from starlette.requests import Request

from service.body import GRACE_SECONDS, BodyLimits
from service.encoding import WINDOWS
from service.errors import BadRequest, ClientGone, SlowBody, UnsupportedMedia, quoted
from service.protocol import CHUNKS

INFLATED_BYTES = 2**18  # at a time
CHUNK_BYTES = 16  # a chunk should have, on average
CHUNKS_PER_SECOND = 1000  # that may be smaller


class Upload:
    """One request's body. Only time spent waiting for the client counts against it."""

    def __init__(self, request: Request, limits: BodyLimits) -> None:
        self._request, self._limits = request, limits
        self._encoding = request.headers.get("content-encoding", "").strip().lower()
        self._start = asyncio.get_running_loop().time()
        self._patience = min(GRACE_SECONDS, limits.seconds)  # left to wait for it
        self.bytes, self.done = 0, False

    def check_encoding(self) -> None:
        """UnsupportedMedia for one that is not read."""
        if self._encoding not in ("", "identity", *WINDOWS):
            raise UnsupportedMedia(
                f"Content-Encoding {quoted(self._encoding)} is not supported; gzip and deflate are"
            )

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """What has come and was not yielded yet; the client is not read while nobody asks.

        Raises SlowBody, ClientGone and BadRequest.
        """
        inflate = Inflater(self._encoding) if self._encoding in WINDOWS else None
        while not self.done:
            data = await self._next()
            if inflate is None:
                yield data
                continue
            for part in inflate.more(data):
                yield part
        if inflate is not None:
            inflate.check_end()

    async def discard(self, seconds: float) -> None:
        """Read on for a while and keep nothing, for a client that is still writing."""
        try:
            async with asyncio.timeout(seconds):
                while not self.done:
                    await self._receive()
        except (TimeoutError, ClientGone):
            return

    async def _next(self) -> bytes:
        """Waiting takes from the client's patience, what it sends gives some back."""
        loop, limits = asyncio.get_running_loop(), self._limits
        began = loop.time()
        try:
            async with asyncio.timeout(self._patience):
                data = await self._receive()
        except TimeoutError as error:
            raise SlowBody(
                f"the upload stopped or came too slowly after {self.bytes} bytes; it must come at "
                f"{limits.bytes_per_second:g} bytes per second or more, and never pause for "
                f"{limits.seconds:g} seconds"
            ) from error
        self._patience -= loop.time() - began
        self._patience += len(data) / limits.bytes_per_second
        self._patience = min(self._patience, limits.seconds)
        self._check_chunks()
        return data

    async def _receive(self) -> bytes:
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its sequence had arrived")
        self.done = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        self.bytes += len(data)
        return data

    def _check_chunks(self) -> None:
        """Each takes its time, however little there is in it."""
        seconds = asyncio.get_running_loop().time() - self._start
        most = self._limits.chunks + self.bytes // CHUNK_BYTES + seconds * CHUNKS_PER_SECOND
        if self._request.scope.get("state", {}).get(CHUNKS, 0) > most:
            raise BadRequest(
                f"more than {self._limits.chunks} chunks of less than {CHUNK_BYTES} bytes"
            )


class Inflater:
    """A compressed body, of which it never holds much."""

    def __init__(self, encoding: str) -> None:
        self._encoding, self._stream = encoding, zlib.decompressobj(WINDOWS[encoding])

    def more(self, data: bytes) -> Iterator[bytes]:
        """What more of it says, in parts. BadRequest where it is corrupted or goes on after its
        end.
        """
        while data:
            try:
                part = self._stream.decompress(data, INFLATED_BYTES)
            except zlib.error as error:
                raise BadRequest(f"the body is not valid {self._encoding}") from error
            if self._stream.unused_data:
                self._fail("goes on after its end")
            yield part
            data = self._stream.unconsumed_tail

    def check_end(self) -> None:
        """BadRequest where there should be more."""
        if not self._stream.eof:
            self._fail("is cut off")

    def _fail(self, why: str) -> None:
        raise BadRequest(f"the body is not valid {self._encoding}: it {why}")
