"""Running the stages of a bundle on a pack: in slices, folding what they sum up between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from service.graph import Graph, Value
from service.manifest import Output, Summary, TokenStage
from service.names import COLUMN, CONTEXT, FIRST, NEXT, OUTPUT, PART, SUMMARY
from service.pack import Array, Blocks, Pack, Slice
from service.summary import Fold
from service.sums import Contribute, every_block
from service.team import Team

Feeds = dict[str, Array]
Folds = list[tuple[Summary, Fold]]
OF_A_SLICE = ("rows", "sizes", "owner", "position", "places", "block")


class Progress:
    """A pack on its way: what the next stage reads per token, slice by slice, and per sequence.

    tokens: for every slice, name -> (T, ...), on the device where graphs leave it there;
    sequences: name -> (N, ...) of the whole pack.
    """

    def __init__(self, pack: Pack, slice_tokens: int) -> None:
        self.lengths, self.blocks = pack.lengths, Blocks.of(pack.lengths)
        self.slices = list(self.blocks.slices(slice_tokens))
        self.tokens: list[dict[str, Value]] = [_columns(pack, part) for part in self.slices]
        self.sequences = {CONTEXT + name: values for name, values in pack.context.items()}
        self.sequences |= {FIRST + name: pack.first(name) for name in pack.columns}
        self.sequences["count"] = count(pack.lengths)
        self._outputs: dict[str, list[Array]] = {}

    def keep(self, found: Feeds) -> None:
        """Keep the outputs among what a graph found."""
        for name, rows in found.items():
            if name.startswith(OUTPUT):
                self._outputs.setdefault(name.removeprefix(OUTPUT), []).append(rows)

    def output(self, own: Output) -> Array:
        """All rows of an output."""
        if own.name not in self._outputs:
            return np.zeros((0, own.width), np.float32)
        return self._joined(own.name)

    def outputs(self) -> Feeds:
        """All rows of those outputs that have come."""
        return {name: self._joined(name) for name in self._outputs}

    def _joined(self, name: str) -> Array:
        parts = self._outputs[name]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Adds(Protocol):
    """What takes in what blocks contribute: a fold, or whoever wants them apart."""

    def add(self, parts: dict[str, Array], owner: Array) -> None:
        """Contributions (B, ...) of blocks in order, and their sequences (B,)."""
        ...


class Runner(Protocol):
    """Whatever runs one stage."""

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the stage on a whole pack, bit by bit: yields how many tokens each bit was."""
        ...


class TokenRunner:
    """Slice by slice, folding what blocks contribute to the next summaries."""

    def __init__(
        self,
        stage: TokenStage,
        graph: Graph,
        team: Team,
        contribute: Contribute = every_block,
    ) -> None:
        self._summaries, self._graph, self._contribute = stage.summaries, graph, contribute
        self._team = team

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the stage on every slice."""
        folds = self.folds(len(progress.lengths))
        yield from self.fold(progress, folds)
        progress.sequences |= folded(folds)

    def folds(self, sequences: int) -> Folds:
        """What so many sequences contribute to: nothing yet."""
        return [(spec, Fold(spec, sequences)) for spec in self._summaries]

    def fold(self, progress: Progress, folds: Sequence[tuple[Summary, Adds]]) -> Iterator[int]:
        """Run the stage on every slice, and add what they contribute."""
        feeds = (self._feeds(progress, i) for i in range(len(progress.slices)))
        for i, found in enumerate(self._team.map(self._graph.run, feeds)):
            part = progress.slices[i]
            progress.tokens[i] = _named(found, NEXT)
            progress.keep(found)
            for spec, fold in folds:
                fold.add(*self._contribute(spec, _named(found, f"{PART}{spec.name}:"), part))
            yield part.tokens.stop - part.tokens.start

    def _feeds(self, progress: Progress, number: int) -> dict[str, Value]:
        part, tokens = progress.slices[number], progress.tokens[number]
        feeds: dict[str, Value] = {}
        for name in self._graph.reads:
            if name in tokens:
                feeds[name] = tokens[name]
            elif name in OF_A_SLICE:
                feeds[name] = getattr(part, name)
            else:
                feeds[name] = progress.sequences[name][part.sequences]
        return feeds


class SequenceRunner:
    """What reads only summaries: one call for all sequences."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the stage on all sequences."""
        progress.keep(self._graph.run(progress.sequences))
        yield 0


def folded(folds: Folds) -> Feeds:
    """The summaries, by the names that graphs read them under."""
    return {
        f"{SUMMARY}{spec.name}:{field}": rows
        for spec, fold in folds
        for field, rows in fold.rows().items()
    }


def count(lengths: Array) -> Array:
    """(N, 2): n and log(1 + n), which a graph's kernel would round by its place in the tensor."""
    return np.stack([lengths, np.log1p(lengths)], axis=1).astype(np.float32)


def _columns(pack: Pack, part: Slice) -> Feeds:
    return {COLUMN + name: values[part.tokens] for name, values in pack.columns.items()}


def _named(found: dict[str, Value], prefix: str) -> dict[str, Value]:
    """What a graph found under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
