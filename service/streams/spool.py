"""What a stream keeps of its tokens between two passes: in memory while it is little, then in a
file that has no name, so that nothing of it outlives the process.
"""

from __future__ import annotations

import asyncio
import errno
import tempfile
import threading
from array import array
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from service.errors import SettingsError, SpoolFull
from service.stages import Feeds

MEMORY_BYTES = 2**20  # kept in memory, of each stream
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Layout = list[tuple[str, np.dtype, tuple[int, ...]]]  # of a token: names, types, shapes


@dataclass(slots=True)
class Space:
    """How much all streams may keep, and each; bytes. Lives on the event loop."""

    folder: Path | None
    most: int
    most_each: int
    taken: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise SettingsError(f"SUMSERVE_SPOOL_FOLDER: {self.folder} is not a folder")


class Spool:
    """Pieces in order: appended in one pass, in later ones read and maybe written over."""

    def __init__(self, space: Space, memory_bytes: int = MEMORY_BYTES) -> None:
        self._space, self._lock, self._closed = space, threading.Lock(), False
        folder = None if space.folder is None else str(space.folder)
        self._file = tempfile.SpooledTemporaryFile(max(1, memory_bytes), dir=folder)  # noqa: SIM115
        self._memory = memory_bytes
        self._layout, self._next = Layout(), Layout()
        # Of each piece: its tokens, where its bytes are and how many may be there. 24 bytes each.
        self._tokens, self._places, self._rooms = array("q"), array("q"), array("q")
        self.bytes = 0

    async def append(self, piece: Feeds) -> None:
        """Keep one more piece; SpoolFull where there is no room."""
        data = self._packed(piece)
        self._tokens.append(len(next(iter(piece.values()))))
        self._places.append(self._grow(len(data)))
        self._rooms.append(len(data))
        await self._write(self._places[-1], data)

    async def replace(self, number: int, piece: Feeds) -> None:
        """Keep another piece in place of one that has been read."""
        data = self._packed(piece)
        if len(data) > self._rooms[number]:
            self._places[number], self._rooms[number] = self._grow(len(data)), len(data)
        await self._write(self._places[number], data)

    async def pieces(self) -> AsyncGenerator[Feeds, None]:
        """All of them, as they were when this pass began; each may then be replaced."""
        self._layout, self._next = self._next, Layout()
        for number, tokens in enumerate(self._tokens):
            size = tokens * sum(d.itemsize * prod(shape) for _, d, shape in self._layout)
            yield self._unpacked(await self._read(self._places[number], size), tokens)

    @property
    def in_memory(self) -> int:
        """Bytes that are there."""
        return self.bytes if self.bytes <= self._memory else 0

    def close(self) -> None:
        """Let go of all, soon: a thread may be at a slow disk, and nobody waits for it."""
        if self._closed:
            return
        self._closed = True
        if self.bytes <= self._memory:
            self._shut()
            self._release()
        else:
            shut = asyncio.get_running_loop().run_in_executor(None, self._shut)
            shut.add_done_callback(self._release)

    def _shut(self) -> None:
        with self._lock, suppress(OSError):  # of a full disk: what is unwritten is of no use
            self._file.close()

    def _release(self, _: object = None) -> None:
        self._space.taken -= self.bytes

    def _packed(self, piece: Feeds) -> bytes:
        layout = [(name, values.dtype, values.shape[1:]) for name, values in piece.items()]
        assert layout == (self._next or layout), "pieces of a pass are alike"
        self._next = layout
        return b"".join(np.ascontiguousarray(values).data for values in piece.values())

    def _unpacked(self, data: bytes, tokens: int) -> Feeds:
        piece, at = Feeds(), 0
        for name, dtype, shape in self._layout:
            count = tokens * prod(shape)
            piece[name] = np.frombuffer(data, dtype, count, at).reshape(tokens, *shape)
            at += count * dtype.itemsize
        return piece

    def _grow(self, size: int) -> int:
        """Room for so many more bytes: where it is."""
        place, space = self.bytes, self._space
        if place + size > space.most_each:
            raise SpoolFull(
                f"what is kept of this sequence between two passes is more than the limit of "
                f"{space.most_each} bytes per stream"
            )
        if space.taken + size > space.most:
            raise SpoolFull(
                f"streams keep {space.taken} bytes between passes; the limit is {space.most} in all"
            )
        self.bytes += size
        space.taken += size
        return place

    async def _write(self, place: int, data: bytes) -> None:
        if self.bytes <= self._memory:
            self._put(place, data)
        else:
            await asyncio.to_thread(self._put, place, data)

    async def _read(self, place: int, size: int) -> bytes:
        if self.bytes <= self._memory:
            return self._get(place, size)
        return await asyncio.to_thread(self._get, place, size)

    def _put(self, place: int, data: bytes) -> None:
        with self._lock:
            if self._closed:
                return
            with _room():
                self._file.seek(place)
                self._file.write(data)

    def _get(self, place: int, size: int) -> bytes:
        with self._lock:
            if self._closed:
                return bytes(size)
            with _room():  # what was written may be on its way still
                self._file.seek(place)
                return self._file.read(size)


@contextmanager
def _room() -> Iterator[None]:
    """SpoolFull where the disk is."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise SpoolFull("there is no room left for what streams keep") from error
        raise
