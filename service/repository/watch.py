"""Looks into the folder of models now and then, and serves what has changed there.

It looks instead of being told, because folders on a network tell nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from service.errors import Conflict, NotServing, ServiceError
from service.repository.folder import Folder, Stamp

log = logging.getLogger("sumserve.repository")


class Loads(Protocol):
    """What is needed of a `Control`."""

    async def load(self, name: str) -> None:
        """Serve a model as it lies in the folder."""

    async def unload(self, name: str) -> None:
        """A model takes no more requests."""


class Watch:
    """A change is acted upon when the next look finds it unchanged: bundles take time to copy."""

    def __init__(self, folder: Folder, control: Loads, opened: Mapping[str, Stamp]) -> None:
        """opened: what lay there before any of it was opened."""
        self._folder, self._control = folder, control
        self._seen, self._done = dict(opened), dict(opened)

    async def run(self, seconds: float) -> None:
        """Look, again and again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except Exception:
                log.exception("cannot look for new models")

    async def look(self) -> None:
        """Once. Where nothing is there at all everything is left as it is: a volume that is gone
        leaves an empty folder.
        """
        found = await asyncio.to_thread(self._folder.stamps)
        if not found:
            return
        for name in sorted(found.keys() | self._done.keys()):
            stamp = found.get(name)
            if stamp == self._seen.get(name) != self._done.get(name):
                await self._act(name, stamp)
        self._seen = found

    async def _act(self, name: str, stamp: Stamp | None) -> None:
        """What cannot be loaded is not tried again as it is, unless something was in the way."""
        try:
            await (self._control.load(name) if stamp else self._control.unload(name))
        except (Conflict, NotServing):
            return
        except ServiceError as error:
            log.error("%s has changed: %s", name, error)
        self._done.pop(name, None)
        if stamp:
            self._done[name] = stamp
