"""One sequence on its way through a bundle's stages: a pass per token stage, piece by piece.

All of it runs as tasks of the engine, one at a time, but for `turn`, between passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.graph import host
from service.names import COLUMN, CONTEXT, FIRST
from service.pack import Array, Pack
from service.stages import (
    Feeds,
    Progress,
    Runner,
    SequenceRunner,
    TokenRunner,
    count,
    folded,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a stage found for a piece of n tokens: name -> (n, ...).

    kept: for the next stage; outputs: of the bundle, per token.
    """

    kept: Feeds
    outputs: Feeds


class Walk:
    """Gives the same bits as `Session.run` does, whatever the pieces, if all but the last are of
    whole blocks.
    """

    def __init__(self, runners: Sequence[Runner], slice_tokens: int) -> None:
        self._stages = [own for own in runners if isinstance(own, TokenRunner)]
        self._last = [own for own in runners if isinstance(own, SequenceRunner)]
        assert len(self._stages) + len(self._last) == len(runners), "tokens meet in summaries only"
        self._slice_tokens, self._sequences = slice_tokens, Feeds()
        self._stage, self._tokens = 0, 0
        self._folds = self._stages[0].folds(1)

    @property
    def passes(self) -> int:
        """How often every token is looked at."""
        return len(self._stages)

    def given(self, context: Feeds, first: Feeds) -> None:
        """The sequence's context, name -> (1, ...), and its first piece; none of an empty one."""
        self._sequences |= {CONTEXT + name: values for name, values in context.items()}
        self._sequences |= {
            FIRST + name.removeprefix(COLUMN): values[:1] for name, values in first.items()
        }

    def run(self, tokens: Feeds) -> Found:
        """The next piece: columns in the first pass, later what the stage before has kept."""
        length = len(next(iter(tokens.values())))
        progress = Progress(Pack({}, np.array([length])), self._slice_tokens)
        progress.slices = [
            replace(part, within=part.within + self._tokens) for part in progress.slices
        ]
        progress.tokens = [
            {name: values[part.tokens] for name, values in tokens.items()}
            for part in progress.slices
        ]
        progress.sequences = self._sequences
        for _ in self._stages[self._stage].fold(progress, self._folds):
            pass
        self._tokens += length
        return Found(_joined(progress), progress.outputs())

    def turn(self) -> None:
        """The pass is over: its summaries are what the next one reads."""
        self._sequences |= folded(self._folds)
        self._sequences["count"] = count(np.array([self._tokens]))
        self._stage, self._tokens = self._stage + 1, 0
        if self._stage < len(self._stages):
            self._folds = self._stages[self._stage].folds(1)

    def finish(self) -> dict[str, Array]:
        """After the last pass: the outputs per sequence, (1, width) each."""
        progress = Progress(Pack({}, np.array([0])), self._slice_tokens)
        progress.sequences = self._sequences
        for own in self._last:
            for _ in own.advance(progress):
                pass
        return progress.outputs()


def columns_of(pack: Pack) -> Feeds:
    """A pack's columns by the names that graphs read them under."""
    return {COLUMN + name: values for name, values in pack.columns.items()}


def _joined(progress: Progress) -> Feeds:
    """What all slices leave to the next stage, on the host."""
    first, *others = progress.tokens
    return {
        name: np.concatenate([host(part[name]) for part in (first, *others)])
        if others
        else host(first[name])
        for name in first
    }
