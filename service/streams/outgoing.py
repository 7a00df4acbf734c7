"""A streamed answer on its way: at the client's pace, and never cut short without a sign."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Message, Receive, Scope, Send

from service.errors import ClientGone, ServiceError
from service.protocol import CUT
from service.streams.upload import Upload
from service.wires.json_answer import dumps

WRITTEN_BYTES = 2**18  # at a time: what must be read within the time limit
LINGER_SECONDS = 5.0  # for a client that is still writing when it is refused


class Outgoing:
    """One response. seconds: in which the client must read on."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        self._scope, self._receive, self._send, self._seconds = scope, receive, send, seconds
        self.started, self._stalled = False, False

    async def begin(self, media: str) -> None:
        """200: from now on an error can only cut the answer short."""
        self.started = True
        await self.start(200, {"content-type": media, "vary": "Accept"})

    async def write(self, data: bytes) -> None:
        """Send when the client has read what came before; ClientGone if it does not."""
        for start in range(0, len(data), WRITTEN_BYTES):
            await self._body(data[start : start + WRITTEN_BYTES], more=True)

    async def end(self) -> None:
        """That was all."""
        await self._body(b"", more=False)

    async def refuse(self, error: ServiceError, upload: Upload) -> None:
        """Say at once what is wrong, then read on for a while.

        To close on a client that is writing resets the connection, and the answer may be lost.
        """
        body = dumps({"error": str(error)})
        headers = {name.lower(): value for name, value in error.headers.items()}
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
        await self.start(error.status, headers | {"connection": "close"})
        await self._body(body, more=True)
        await upload.discard(min(self._seconds, LINGER_SECONDS))
        await self.end()

    async def cut(self) -> None:
        """Close without the answer's end; what was written goes out first, if it is read."""
        close: Callable[[bool], None] | None = self._scope.get("state", {}).get(CUT)
        if close is None:  # whoever runs us closes when we return
            return
        close(self._stalled)
        try:
            async with asyncio.timeout(self._seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            close(True)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """The head."""
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._in_time(
            self._send({"type": "http.response.start", "status": status, "headers": raw})
        )

    async def _body(self, data: bytes, more: bool) -> None:
        message: Message = {"type": "http.response.body", "body": data, "more_body": more}
        await self._in_time(self._send(message))

    async def _in_time(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await sending
        except TimeoutError as error:
            self._stalled = True
            limit = f"{self._seconds:g} seconds"
            raise ClientGone(f"the client read nothing of its answer for {limit}") from error
