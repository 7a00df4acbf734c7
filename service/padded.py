"""Running a model that takes padded batches: by sequences of like length.

How far a sequence is padded depends on its own length alone; how many go together depends on the
pack, and a kernel may round by that: the manifest's ``isolation`` says by how much.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.buckets import padded_lengths
from service.errors import BadRequest, BundleError
from service.graph import Graph
from service.manifest import PaddedInput, PaddedStage
from service.names import COLUMN, CONTEXT, FIRST, OUTPUT
from service.pack import Array
from service.places import Places
from service.stages import Feeds, Progress

PLACES = 2**14  # of tokens in one call of the graph, unless one sequence has more
AXES = "bnw"  # batch, tokens, width: the order of axes here


class PaddedRunner:
    """All sequences of a pack -> the model's answers, per token and per sequence.

    ``longest`` is the longest padded length that the graph takes, None where it takes any. An axis
    that the graph fixes has that size: sequences are padded to it, batches filled up with copies.
    """

    def __init__(
        self,
        stage: PaddedStage,
        graph: Graph,
        longest: int | None = None,
        places: Places | None = None,
    ) -> None:
        """places: counts those that it runs on."""
        self._stage, self._graph, self._longest = stage, graph, longest
        self._places = places or Places()
        fixed = _fixed_axes(stage, graph)
        self._batch, self._length = fixed.get("b"), fixed.get("n")

    def advance(self, progress: Progress) -> Iterator[int]:
        """Run the model on the whole pack; BadRequest when a sequence is longer than it takes."""
        lengths, answers = progress.lengths, Feeds()
        values = {own.name: _values(own, progress) for own in self._stage.inputs}
        for chosen, rows in self._calls(lengths):
            filled = self._filled(len(chosen))
            self._places.count(len(filled) * rows.shape[1], int(lengths[chosen].sum()))
            found = self._graph.run(self._feeds(values, chosen[filled], rows[filled], lengths))
            for own in self._stage.outputs:
                batch = _in_order(found[own.name], own.axes)[: len(chosen)]
                whole = (lengths.sum() if "n" in own.axes else len(lengths), batch.shape[-1])
                answer = answers.setdefault(OUTPUT + own.output, np.zeros(whole, np.float32))
                _put(answer, batch, chosen, rows)
            yield int(lengths[chosen].sum())
        progress.keep(answers)

    def _calls(self, lengths: Array) -> Iterator[tuple[Array, Array]]:
        """chosen (B,) sequences of one padded length n, and rows (B, n) of their tokens.

        Rows are T where there is no token. Empty sequences run only for answers per sequence.
        """
        starts, padded = np.cumsum(lengths) - lengths, self._padded(lengths)
        run = (lengths > 0) | any("n" not in own.axes for own in self._stage.outputs)
        for n in np.unique(padded[run]):
            chosen = np.flatnonzero((padded == n) & run)
            together = self._batch or max(1, PLACES // int(n))
            for some in np.array_split(chosen, -(-len(chosen) // together)):
                places = np.arange(n)
                inside = places < lengths[some, None]
                yield some, np.where(inside, starts[some, None] + places, lengths.sum())

    def _padded(self, lengths: Array) -> Array:
        """(N,) places of each sequence: one at least."""
        most, longest = self._length or self._longest, int(lengths.max(initial=0))
        if most is not None and longest > most:
            raise BadRequest(f"a sequence has {longest:,} tokens; the model takes {most:,} at most")
        if self._length is not None:
            return np.full_like(lengths, self._length)
        padded = padded_lengths(np.maximum(lengths, 1))
        return padded if most is None else np.minimum(padded, max(1, most))

    def _filled(self, sequences: int) -> Array:
        """Which of the sequences stand in each place of the batch."""
        return np.minimum(np.arange(self._batch or sequences), sequences - 1)

    def _feeds(self, values: Feeds, chosen: Array, rows: Array, lengths: Array) -> Feeds:
        feeds = {}
        for own in self._stage.inputs:
            if own.reads == "mask":
                found = np.where(rows < lengths.sum(), 1 - own.pad, own.pad)
            else:
                found = values[own.name][rows if own.reads == "column" else chosen]
            feeds[own.name] = _arranged(found, own)
        return feeds


def _values(own: PaddedInput, progress: Progress) -> Array:
    """What an input reads of the whole pack: (N, ...) of the sequences, or (T + 1, ...) of the
    tokens with a last row for places that hold none.
    """
    if own.reads == "context":
        return progress.sequences[f"{CONTEXT}{own.column}"]
    if own.reads != "column":
        return progress.lengths
    none = progress.sequences[f"{FIRST}{own.column}"][:0]  # knows the type where no token does
    parts = [tokens[f"{COLUMN}{own.column}"] for tokens in progress.tokens]
    return np.concatenate([*parts, none, np.full((1, *none.shape[1:]), own.pad, none.dtype)])


def _put(answer: Array, batch: Array, chosen: Array, rows: Array) -> None:
    """A batch's answers to their places: (T, w) from (B, n, w), or (N, w) from (B, w)."""
    if batch.ndim == 2:
        answer[chosen] = batch
    else:
        there = rows < len(answer)
        answer[rows[there]] = batch[there]


def _arranged(values: Array, own: PaddedInput) -> Array:
    """(B, n, w) or a part of it -> the order and type that the graph reads."""
    letters = [axis for axis in AXES if axis in own.axes]
    if values.ndim < len(letters):
        values = values[..., None]
    order = [letters.index(axis) for axis in own.axes]
    return np.ascontiguousarray(values.transpose(order), own.dtype)


def _in_order(values: Array, axes: str) -> Array:
    """What a graph yields -> (B, n, w) per token or (B, w) per sequence."""
    values = values.transpose([axes.index(axis) for axis in AXES if axis in axes])
    return values if "w" in axes else values[..., None]


def _fixed_axes(stage: PaddedStage, graph: Graph) -> dict[str, int]:
    """b and n, where the graph fixes their sizes; BundleError where it is not what was stated."""
    shapes = graph.shapes
    if {own.name for own in stage.inputs} != shapes.keys():
        raise BundleError(f"{stage.file}: reads {', '.join(shapes)}, and the manifest has others")
    for own in stage.outputs:
        if own.name not in graph.yields:
            raise BundleError(f"{stage.file}: yields no {own.name!r}")
    fixed: dict[str, int] = {}
    for read in stage.inputs:
        shape = shapes[read.name]
        if len(shape) != len(read.axes) or len(set(read.axes)) < len(read.axes):
            raise BundleError(f"{stage.file}: input {read.name!r} {shape} is not {read.axes!r}")
        sizes = zip(read.axes, shape, strict=True)
        fixed |= {axis: size for axis, size in sizes if axis in "bn" and isinstance(size, int)}
    return fixed
