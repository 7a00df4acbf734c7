"""The wrapped graph itself in onnxruntime, fed sequence by sequence: what a bundle is held against.

Pads in its own plain way, shared with nothing that serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.wrap_file import WrapError
from service.graph import session_options
from service.manifest import PaddedInput
from service.pack import Array, Pack
from service.runtime import onnxruntime

EXACT = 2**24  # whole numbers up to it are float32 numbers
MOST_WORDS = 300  # of onnxruntime's own message


class Reference:
    """A graph and what its inputs read. batch: how many sequences it takes, where it fixes that."""

    def __init__(self, graph: bytes, inputs: Sequence[PaddedInput], batch: int | None) -> None:
        self._inputs, self._batch, options = inputs, batch, session_options()
        options.log_severity_level = 4  # what fails is raised, and told once
        try:
            self._session: Any = onnxruntime().InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes have no public base
            raise WrapError(f"onnxruntime refuses the graph: {one_line(error)}") from error
        self._yields = [own.name for own in self._session.get_outputs()]

    def run(
        self, sequences: Sequence[Pack], places: int, tokens: int | None = None
    ) -> dict[str, Array]:
        """What the graph yields for a batch of packs of one sequence, padded to so many places.

        With ``tokens`` masks and lengths say so many, and what more there is stands in the padding.
        Raises WrapError where the graph fails.
        """
        filled = [sequences[i % len(sequences)] for i in range(self._batch or len(sequences))]
        feeds = {own.name: _batch(own, filled, places, tokens) for own in self._inputs}
        try:
            found = self._session.run(self._yields, feeds)
        except Exception as error:  # as above
            longest = max(pack.tokens for pack in sequences) if tokens is None else tokens
            raise WrapError(
                f"the graph fails at length {longest:,} in {places:,} places: {one_line(error)} "
                "(if it has fewer places, say --max-length)"
            ) from error
        return dict(zip(self._yields, found, strict=True))

    def alone(
        self, sequence: Pack, places: int, axes: Mapping[str, str], tokens: int | None = None
    ) -> dict[str, Array]:
        """Graph's name for an output -> (n, width) or (width,) of one sequence, as `run` has it."""
        found = self.run([sequence], places, tokens)
        for name in axes:
            _check_whole(name, found[name])
        n = sequence.tokens if tokens is None else tokens
        return {name: one_answer(found[name], axes[name], n) for name in axes}


def _check_whole(name: str, values: Array) -> None:
    """WrapError for whole numbers that answers, which are float32, cannot hold."""
    if np.issubdtype(values.dtype, np.integer) and np.abs(values).max(initial=0) > EXACT:
        raise WrapError(
            f"output {name!r} has whole numbers above {EXACT:,}; answers are float32, which rounds "
            "them (Cast it in the graph if that is meant)"
        )


def one_answer(values: Array, axes: str, tokens: int) -> Array:
    """The first sequence's rows (n, width) or row (width,) of what a graph yields."""
    first = np.take(values, 0, axis=axes.index("b"))
    rest = axes.replace("b", "")
    if rest == "wn":
        first = first.T
    if "n" in rest:
        rows = np.asarray(first[:tokens], np.float32)
        return rows if rows.ndim == 2 else rows[:, None]
    return np.asarray(first.reshape(-1), np.float32)


def _batch(own: PaddedInput, sequences: Sequence[Pack], places: int, tokens: int | None) -> Array:
    counts = [pack.tokens if tokens is None else tokens for pack in sequences]
    values = [_one(own, pack, places, n) for pack, n in zip(sequences, counts, strict=True)]
    return np.stack(values, axis=own.axes.index("b")).astype(own.dtype)


def _one(own: PaddedInput, pack: Pack, places: int, n: int) -> Array:
    """What one sequence gives, in the order of the input's axes without b."""
    rest = own.axes.replace("b", "")
    if own.reads == "lengths":
        return np.full((1,) * len(rest), n)
    if own.reads == "context":
        values = pack.context[str(own.column)][0]
        return np.reshape(values, np.shape(values) or (1,) * len(rest))
    values = np.full(n, 1 - own.pad) if own.reads == "mask" else pack.columns[str(own.column)]
    if "w" in rest:
        values = values if values.ndim == 2 else values[:, None]
    padded = np.full((places, *values.shape[1:]), own.pad, values.dtype)
    padded[: len(values)] = values
    return padded.T if rest == "wn" else padded


def one_line(error: Exception) -> str:
    """onnxruntime's message, which has several and may be long."""
    return " ".join(str(error).split())[:MOST_WORDS]
