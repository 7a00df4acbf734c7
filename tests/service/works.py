"""What workers do here instead of serving, each in a process of its own.

They leave word in the folder that is the setting ``models``.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from service.child import Place, Ready
from service.errors import BundleError

LONG = 60.0  # seconds: far more than anything here takes
BAD = 1  # the number of the worker that is not as it should be


class Words:
    """What workers have left word of, by their number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, what: str, index: int, word: object) -> None:
        with (self._folder / f"{what}.{index}").open("a") as file:
            file.write(f"{word}\n")

    def of(self, what: str, index: int) -> list[str]:
        path = self._folder / f"{what}.{index}"
        return path.read_text().split() if path.exists() else []

    def wait(self, what: str, index: int, count: int = 1) -> None:
        """For so many words. AssertionError when they do not come."""
        deadline = time.monotonic() + LONG
        while len(self.of(what, index)) < count:
            assert time.monotonic() < deadline, f"{what} of worker {index}"
            time.sleep(0.01)


def obedient(place: Place, ready: Ready) -> None:
    """Ends on the first signal."""
    words = _begin(place, ready)
    words.wait("signals", place.index)


def closing(place: Place, ready: Ready) -> None:
    """Listens until the first signal, and ends on the second."""
    for one in place.sockets:
        one.listen()
    words = _begin(place, ready)
    words.wait("signals", place.index)
    port = place.sockets[0].getsockname()[1]
    for one in place.sockets:
        one.close()
    words.add("closed", place.index, port)
    words.wait("signals", place.index, 2)


def stubborn(place: Place, ready: Ready) -> None:
    """Ends on none."""
    words = _begin(place, ready)
    words.wait("signals", place.index, 1_000_000)


def invalid(place: Place, ready: Ready) -> None:
    """One finds a bundle at fault."""
    if place.index == BAD:
        raise BundleError("digits/1: stage0.onnx is not what it was")
    obedient(place, ready)


def unreadable(place: Place, ready: Ready) -> None:
    """One may not read."""
    if place.index == BAD:
        raise PermissionError(13, "Permission denied", "/bundles")
    obedient(place, ready)


def lost(place: Place, ready: Ready) -> None:
    """One ends without a word, before it is ready."""
    if place.index == BAD:
        os._exit(7)
    obedient(place, ready)


def dying(place: Place, ready: Ready) -> None:
    """One ends again and again, once all are ready."""
    if place.index == BAD:
        words = Words(place.settings.models)
        words.add("pid", BAD, os.getpid())
        words.wait("ready", 0)
        ready()
        os._exit(7)
    obedient(place, ready)


def recovering(place: Place, ready: Ready) -> None:
    """One ends seven times, once all are ready."""
    if place.index == BAD and len(Words(place.settings.models).of("pid", BAD)) < 7:
        dying(place, ready)
    obedient(place, ready)


def loading(place: Place, ready: Ready) -> None:
    """One is never ready, and not at leisure to be told anything."""
    if place.index == BAD:
        Words(place.settings.models).add("pid", place.index, os.getpid())
        time.sleep(LONG)
    obedient(place, ready)


def _begin(place: Place, ready: Ready) -> Words:
    words = Words(place.settings.models)
    for sig in signal.SIGTERM, signal.SIGINT:
        signal.signal(sig, lambda sig, _: words.add("signals", place.index, sig))
    words.add("pid", place.index, os.getpid())
    ready()
    words.add("ready", place.index, "yes")
    return words
