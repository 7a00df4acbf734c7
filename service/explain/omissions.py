"""A pooled model's outputs without each token in turn, by taking what it adds to sums away.

Runs where steps run, bit by bit. Knows nothing of requests. Every token goes through the token
stage as a sequence of its own, so its contribution is its own summary; what the others sum up to is
the sum of all less that, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from service.engine.job import cost
from service.manifest import Summary
from service.names import CONTEXT, SUMMARY
from service.pack import Array, Pack, Slice
from service.stages import Feeds, Progress, SequenceRunner, TokenRunner, count
from service.summary import Fold

KEPT_BYTES = 64 * 2**20  # of contributions; of what has more they are computed once more
BIT_BYTES = 4 * 2**20  # of summaries in one bit of the work
UNITS = 2  # that predicting a token takes
CONTRIBUTION, ANSWER = 3, 1  # the kinds of rows in units, as measured: a token alone, or left out

Parts = list[Feeds]  # what tokens contribute to each summary: field -> (t, ...)


@dataclass(slots=True)
class Pile:
    """What slices contribute, in order and not added up."""

    rows: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, parts: dict[str, Array], owner: Array) -> None:
        """Of blocks of one token each."""
        for name, rows in parts.items():
            self.rows.setdefault(name, []).append(rows)

    def joined(self, spec: Summary) -> Feeds:
        """All of it, as graphs yield it."""
        return {
            name: np.concatenate(self.rows[name]).astype(own.dtype, copy=False)
            for name, own in spec.fields.items()
        }


@dataclass(frozen=True)
class Singles(Slice):
    """A slice of sequences of one token, where blocks need not have room for more."""

    @property
    def rows(self) -> Array:
        """(B, 1): the token of each block, T where there is none."""
        total = self.tokens.stop - self.tokens.start
        return np.where(self.lengths > 0, self.starts, total)[:, None]


@dataclass(frozen=True, slots=True)
class Stages:
    """A pooled model's. slice_tokens: of so many tokens in all -> in one call of the token stage;
    narrow: whether that takes blocks of any width.
    """

    tokens: TokenRunner
    last: SequenceRunner
    summaries: tuple[Summary, ...]
    slice_tokens: Callable[[int], int]
    narrow: bool


class Omissions:
    """One pack's. left: what is still to be run, in units; a prediction takes about UNITS a token.

    most: rows in one bit of the work, by its kind; whoever runs it may change that on the way.
    last: the kind of the bit that was run last, CONTRIBUTION or ANSWER; rows: how many it had.
    """

    def __init__(self, stages: Stages, pack: Pack, most: int) -> None:
        self._stages, self._specs, self._pack = stages, stages.summaries, pack
        self._numbers = max(1, sum(spec.numbers for spec in self._specs))
        self.most, self.last, self.rows = {CONTRIBUTION: most, ANSWER: most}, CONTRIBUTION, 0
        self._limit = max(1, BIT_BYTES // (8 * self._numbers))
        self._room = max(1, KEPT_BYTES // (4 * self._numbers))  # tokens that are kept
        again: int = sum(n for n in pack.lengths.tolist() if n > self._room)
        answers = pack.tokens + len(pack.lengths)
        self.left = CONTRIBUTION * (pack.tokens + again) + ANSWER * answers
        self._whole: list[Feeds] = []
        self._without: list[Feeds] = []

    @property
    def bytes(self) -> int:
        """Of contributions that are kept, and of their sums."""
        kept = 4 * self._numbers * self._pack.tokens
        sums = 8 * self._numbers * len(self._pack.lengths)
        return min(kept, KEPT_BYTES) + min(sums, 2 * KEPT_BYTES)

    @property
    def outputs(self) -> Feeds:
        """name -> (N, width) of whole sequences."""
        return _stacked(self._whole)

    @property
    def without(self) -> Feeds:
        """name -> (T, width): of each token's sequence without it."""
        return _stacked(self._without)

    def work(self) -> Iterator[None]:
        """All of it, in bits."""
        for first, last in self._groups():
            yield from self._group(self._pack.part(first, last))

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Sequences first..last (last excluded) whose contributions can be kept; or one."""
        first, used = 0, 0
        for i, length in enumerate(self._pack.lengths.tolist()):
            if used and used + cost(length) > self._room:
                yield first, i
                first, used = i, 0
            used += cost(length)
        yield first, len(self._pack.lengths)

    def _group(self, pack: Pack) -> Iterator[None]:
        totals = [Fold(spec, len(pack.lengths)).state for spec in self._specs]
        kept: list[tuple[Array, Parts]] = []
        for owner, parts in self._pieces(pack):
            for total, own in zip(totals, parts, strict=True):
                _add(total, own, owner)
            if pack.tokens <= self._room:
                kept.append((owner, parts))
            yield
        for rows in self._cuts(len(pack.lengths), ANSWER):
            chosen = np.arange(rows.start, rows.stop)
            self._whole.append(self._answered(pack, totals, chosen))
            yield
        for owner, parts in kept or self._pieces(pack):
            if not kept:
                yield
            for rows in self._cuts(len(owner), ANSWER):
                less = [{name: values[rows] for name, values in own.items()} for own in parts]
                self._without.append(self._answered(pack, totals, owner[rows], less))
                yield

    def _pieces(self, pack: Pack) -> Iterator[tuple[Array, Parts]]:
        """Tokens' sequences (t,), and what the tokens contribute."""
        owner = np.repeat(np.arange(len(pack.lengths)), pack.lengths)
        for part in self._cuts(pack.tokens, CONTRIBUTION):
            yield owner[part], self._contributions(pack, owner[part], part)

    def _cuts(self, rows: int, kind: int) -> Iterator[slice]:
        """Of one bit of that kind each."""
        start = 0
        while start < rows:
            end = min(start + min(self.most[kind], self._limit), rows)
            self.last, self.rows = kind, end - start
            self.left -= kind * self.rows
            yield slice(start, end)
            start = end

    def _contributions(self, pack: Pack, owner: Array, part: slice) -> Parts:
        """Of these tokens (t,), each by itself."""
        alone = Pack(
            {name: values[part] for name, values in pack.columns.items()},
            np.ones(len(owner), np.int64),
            {name: values[owner] for name, values in pack.context.items()},
        )
        progress = Progress(alone, self._stages.slice_tokens(len(owner)))
        if self._stages.narrow:
            progress.slices = [Singles(**vars(own)) for own in progress.slices]
        piles = [(spec, Pile()) for spec in self._specs]
        for _ in self._stages.tokens.fold(progress, piles):
            pass
        return [pile.joined(spec) for spec, pile in piles]

    def _answered(
        self, pack: Pack, totals: Parts, owner: Array, less: Parts | None = None
    ) -> Feeds:
        """Outputs (r, width) of sequences (r,), less what one token of each contributes."""
        progress = Progress(Pack({}, np.zeros(1, np.int64)), 1)
        progress.sequences = {CONTEXT + name: v[owner] for name, v in pack.context.items()}
        progress.sequences["count"] = count(pack.lengths[owner] - (less is not None))
        with np.errstate(over="ignore", invalid="ignore"):  # not finite: whoever answers looks
            for i, (spec, total) in enumerate(zip(self._specs, totals, strict=True)):
                for name, own in spec.fields.items():
                    rows = total[name][owner]
                    if less is not None:
                        rows -= less[i][name]
                    progress.sequences[f"{SUMMARY}{spec.name}:{name}"] = rows.astype(own.dtype)
        for _ in self._stages.last.advance(progress):
            pass
        return progress.outputs()


def _add(totals: Feeds, parts: Feeds, owner: Array) -> None:
    """Add what tokens (t, ...) contribute to the sums (N, ...) of whose they are (t,), ascending.

    In float64 it does not matter in which order, as long as nobody asks for the last bit; a fold
    goes block by block, and has sixteen times as many here.
    """
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    for name, rows in parts.items():
        total = totals[name]
        total[owner[first]] += np.add.reduceat(rows, first, axis=0, dtype=total.dtype)


def _stacked(bits: list[Feeds]) -> Feeds:
    """Of all bits, in order; of none there is nothing."""
    return {name: np.concatenate([bit[name] for bit in bits]) for name in bits[0]} if bits else {}
