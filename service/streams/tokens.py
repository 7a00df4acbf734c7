"""The sequence as it comes in: pieces of any size, handed on in pieces of a wanted size."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array, Pack
from service.stages import Feeds
from service.streams.walk import columns_of


class Tokens:
    """Checks what goes for the whole sequence: its length, and that its context is one."""

    def __init__(self, manifest: Manifest, most: int) -> None:
        """most: tokens; 0 for any number."""
        self._manifest, self._most = manifest, most
        self._parts: deque[tuple[Feeds, int]] = deque()  # what waits of each, and its bytes
        self.context: dict[str, Array] = {}
        self.pieces = self.total = self.waiting = self.bytes = 0

    def add(self, pack: Pack) -> None:
        """More pieces, one after the other. BadRequest where they make it too long, or differ."""
        self._check_context(pack.context)
        self.pieces += len(pack.lengths)
        self.total += pack.tokens
        self.waiting += pack.tokens
        self._check_most()
        if pack.tokens:
            size = sum(values.nbytes for values in pack.columns.values())
            self._parts.append((columns_of(pack), size))
            self.bytes += size

    def take(self, tokens: int) -> Feeds:
        """The next so many tokens, of those that wait."""
        assert tokens <= self.waiting, "there are not so many"
        self.waiting -= tokens
        taken = []
        while tokens:
            part, size = self._parts.popleft()
            length = len(next(iter(part.values())))
            if length > tokens:  # all of it is held until nothing of it waits
                rest = {name: values[tokens:] for name, values in part.items()}
                self._parts.appendleft((rest, size))
                part, length = {name: values[:tokens] for name, values in part.items()}, tokens
            else:
                self.bytes -= size
            taken.append(part)
            tokens -= length
        if len(taken) == 1:
            return taken[0]
        return {name: np.concatenate([part[name] for part in taken]) for name in taken[0]}

    def check_end(self) -> None:
        """That was all: BadRequest where it is too short, or its context was never given."""
        least = self._manifest.min_length
        if self.total < least:
            raise BadRequest(f"the sequence has {self.total} tokens, the minimum is {least}")
        if self._manifest.context and not self.pieces:
            names = ", ".join(own.name for own in self._manifest.context)
            raise BadRequest(f"no piece is given; one at least is needed for its context: {names}")

    def _check_most(self) -> None:
        longest, what = self._manifest.max_length, f"the sequence has {self.total} tokens or more"
        if longest is not None and self.total > longest:
            raise BadRequest(f"{what}, the maximum is {longest}")
        if self._most and self.total > self._most:
            raise BadRequest(f"{what}, the limit is {self._most} per stream")

    def _check_context(self, context: Mapping[str, Array]) -> None:
        """Every piece must give the same."""
        for name, values in context.items():
            first = self.context.setdefault(name, values[:1].copy())
            same = (values == first) | ((values != values) & (first != first))
            differ = np.flatnonzero(~same.reshape(len(values), -1).all(axis=1))
            if len(differ):
                number = self.pieces + int(differ[0]) + 1
                raise BadRequest(f"piece {number}: {name} is not what it is in the first piece")
