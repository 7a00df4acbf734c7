"""Looks into the folder of models now and then, and serves what has changed there.

It looks instead of being told, because folders on a network tell nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from service.errors import Conflict, ServiceError
from service.repository.folder import Folder

Stamp = frozenset[tuple[str, int, int]]  # of every file: its path, when it was changed, its size

log = logging.getLogger("sumserve.repository")


class Loads(Protocol):
    """What is needed of a `Control`."""

    async def load(self, name: str) -> None:
        """Serve a model as it lies in the folder."""

    async def unload(self, name: str) -> None:
        """A model takes no more requests."""


class Watch:
    """A change is acted upon when the next look finds it unchanged: bundles take time to copy."""

    def __init__(self, folder: Folder, control: Loads) -> None:
        self._folder, self._control = folder, control
        self._seen = stamps(folder)
        self._done = dict(self._seen)

    async def run(self, seconds: float) -> None:
        """Look, again and again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except Exception:
                log.exception("cannot look for new models")

    async def look(self) -> None:
        """Once. Where the folder itself is gone, everything is left as it is."""
        if not self._folder.root.is_dir():
            return
        found = await asyncio.to_thread(stamps, self._folder)
        for name in sorted(found.keys() | self._done.keys()):
            stamp = found.get(name)
            if stamp == self._seen.get(name) != self._done.get(name):
                await self._act(name, stamp)
        self._seen = found

    async def _act(self, name: str, stamp: Stamp | None) -> None:
        """What cannot be loaded is not tried again as it is, unless others were in the way."""
        try:
            await (self._control.load(name) if stamp else self._control.unload(name))
        except Conflict:
            return
        except ServiceError as error:
            log.error("%s has changed: %s", name, error)
        self._done.pop(name, None)
        if stamp:
            self._done[name] = stamp


def stamps(folder: Folder) -> dict[str, Stamp]:
    """By the names of models."""
    found = {}
    for model in folder.root.glob("[!.]*"):
        if model.is_dir():
            files = (path for path in model.rglob("*") if path.is_file())
            about = ((str(path.relative_to(model)), path.stat()) for path in files)
            found[model.name] = frozenset(
                (path, own.st_mtime_ns, own.st_size)
                for path, own in about
                if not path.startswith(".") and "/." not in path
            )
    return found
