"""A replica that seems slow: what it says comes so much later."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from benchmarks.process import free_port

PIECE = 2**18


class Slowed:
    """A port that leads to another one. seconds, which may change: what each piece of an answer waits."""

    def __init__(self, port: int) -> None:
        self.port, self.seconds = free_port(), 0.0
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1000)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        both = self._pass(reader, onward, 0), self._pass(back, writer, 1)
        await asyncio.gather(*both, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slowed: int
    ) -> None:
        try:
            while piece := await reader.read(PIECE):
                if slowed and self.seconds:
                    await asyncio.sleep(self.seconds)
                writer.write(piece)
                await writer.drain()
        finally:
            writer.transport.abort()
