"""Running the stages of a bundle on a pack: in slices, folding what they sum up between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from service.graph import Graph
from service.manifest import Output, TokenStage
from service.names import COLUMN, CONTEXT, FIRST, NEXT, OUTPUT, PART, SUMMARY
from service.pack import Array, Blocks, Pack, Slice
from service.summary import Fold

Feeds = dict[str, Array]
OF_A_SLICE = ("rows", "sizes", "owner", "position", "places", "block")


class Progress:
    """A pack on its way: what the next stage reads per token, slice by slice, and per sequence.

    tokens: for every slice, name -> (T, ...); sequences: name -> (N, ...) of the whole pack.
    """

    def __init__(self, pack: Pack, slice_tokens: int) -> None:
        self.lengths, self.blocks = pack.lengths, Blocks.of(pack.lengths)
        self.slices = list(self.blocks.slices(slice_tokens))
        self.tokens = [_columns(pack, part) for part in self.slices]
        self.sequences = {CONTEXT + name: values for name, values in pack.context.items()}
        self.sequences |= {FIRST + name: pack.first(name) for name in pack.columns}
        self.sequences["count"] = _count(pack.lengths)
        self._outputs: dict[str, list[Array]] = {}

    def keep(self, found: Feeds) -> None:
        """Keep the outputs among what a graph found."""
        for name, rows in found.items():
            if name.startswith(OUTPUT):
                self._outputs.setdefault(name.removeprefix(OUTPUT), []).append(rows)

    def output(self, own: Output) -> Array:
        """All rows of an output."""
        parts = self._outputs.get(own.name, [])
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros((0, own.width), np.float32)


class Runner(Protocol):
    """Whatever runs one stage."""

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the stage on a whole pack, bit by bit: yields how many tokens each bit was."""
        ...


class TokenRunner:
    """Slice by slice, folding what blocks contribute to the next summaries."""

    def __init__(self, stage: TokenStage, graph: Graph) -> None:
        self._summaries, self._graph = stage.summaries, graph

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the stage on every slice."""
        folds = {s.name: Fold(s, len(progress.lengths)) for s in self._summaries}
        for i, part in enumerate(progress.slices):
            found = self._graph.run(self._feeds(progress, i))
            progress.tokens[i] = _named(found, NEXT)
            progress.keep(found)
            for name, fold in folds.items():
                blocks = {
                    field: rows[:-1] for field, rows in _named(found, f"{PART}{name}:").items()
                }
                fold.add(blocks, part.block[:-1] + part.sequences.start)
            yield part.tokens.stop - part.tokens.start
        for name, fold in folds.items():
            rows = fold.rows()
            progress.sequences |= {f"{SUMMARY}{name}:{field}": rows[field] for field in rows}

    def _feeds(self, progress: Progress, number: int) -> Feeds:
        part, tokens = progress.slices[number], progress.tokens[number]
        feeds = {}
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


def _count(lengths: Array) -> Array:
    """(N, 2): n and log(1 + n), which a graph's kernel would round by its place in the tensor."""
    return np.stack([lengths, np.log1p(lengths)], axis=1).astype(np.float32)


def _columns(pack: Pack, part: Slice) -> Feeds:
    return {COLUMN + name: values[part.tokens] for name, values in pack.columns.items()}


def _named(found: Feeds, prefix: str) -> Feeds:
    """What a graph found under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
