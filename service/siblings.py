"""The workers of one server ask each other: a line over a unix socket, and JSON comes back.

Knows nothing of what is asked: whoever can answer a question says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.errors import StartupError

SECONDS = 1.0  # that a sibling is waited for
MOST_PATH = 96  # bytes of a folder's path: those of sockets in it have 103 at most on some systems

GONE = object()  # in the place of a sibling's answer: it has ended, or does not serve yet

Answer = Callable[..., Awaitable[Any]]

log = logging.getLogger("sumserve.siblings")


@contextmanager
def meeting_place() -> Iterator[Path]:
    """A folder for their sockets, of this user alone, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sumserve-", ignore_cleanup_errors=True) as folder:
        if len(os.fsencode(folder)) > MOST_PATH:
            raise StartupError(f"{folder}: too long a path for sockets; TMPDIR says where it is")
        yield Path(folder)


class Siblings:
    """The other workers, as one of them sees them. A lone one has none. Lives on the event loop."""

    def __init__(self, folder: Path = Path(), index: int = 0, count: int = 1) -> None:
        """index: this worker's own, of so many; folder: where each has a socket of that name."""
        self.index = index
        self._folder = folder
        self._others = [other for other in range(count) if other != index]
        self._answers: dict[str, Answer] = {}
        self._server: asyncio.Server | None = None

    @property
    def any(self) -> bool:
        """False for a lone worker."""
        return bool(self._others)

    def answer(self, question: str, answer: Answer) -> None:
        """From now on this is asked when a sibling has that question; what it says must be JSON."""
        self._answers[question] = answer

    async def ask(self, question: str, seconds: float = SECONDS, **about: Any) -> dict[int, Any]:
        """What each sibling says, all asked at once; None where one does not, in that time, and
        GONE where there is none.
        """
        line = json.dumps([question, about]).encode() + b"\n"
        answers = await asyncio.gather(*(self._ask(i, line, seconds) for i in self._others))
        return dict(zip(self._others, answers, strict=True))

    async def start(self) -> None:
        """Be there for their questions."""
        if self._others:
            path = self._folder / str(self.index)
            path.unlink(missing_ok=True)  # a worker before this one may have been killed
            self._server = await asyncio.start_unix_server(self._on_question, path)

    async def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.close()

    async def _ask(self, other: int, line: bytes, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(self._folder / str(other))
                try:
                    writer.write(line)
                    return json.loads(await reader.read())
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            return GONE
        except (OSError, ValueError):  # too late, cut off
            return None

    async def _on_question(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            question, about = json.loads(await reader.readline())
            writer.write(json.dumps(await self._answers[question](**about)).encode())
            await writer.drain()
        except OSError:
            pass  # whoever asked has not waited
        except Exception:
            log.exception("a sibling's question cannot be answered")
        finally:
            writer.close()
