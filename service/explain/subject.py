"""What can be explained of a model and its sequences, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.checks import earliest
from service.errors import BadRequest
from service.manifest import Manifest, Output, TokenStage
from service.names import COLUMN, CONTEXT, SUMMARY
from service.pack import Array

ALONE = {"rows", "sizes", "owner", "block", "places"}  # read by a stage, and no other token's


def explained(manifest: Manifest) -> tuple[Output, ...]:
    """The outputs per sequence. BadRequest where there are none."""
    found = tuple(output for output in manifest.outputs if output.per == "sequence")
    if not found:
        raise BadRequest(
            f"model {manifest.name!r} cannot be explained: all of its outputs are per token, and "
            "a token that is left out has none to compare; it takes an output per sequence"
        )
    return found


def check_shorter(manifest: Manifest, lengths: Array) -> None:
    """BadRequest naming the first sequence that the model does not allow to be a token shorter."""
    i = earliest((lengths > 0) & (lengths <= manifest.min_length))
    if i is not None:
        raise BadRequest(
            f"sequence {i}: {lengths[i]} tokens; without one of them there are {lengths[i] - 1}, "
            f"the minimum is {manifest.min_length}"
        )


def check_runs(lengths: Array, most: int) -> None:
    """BadRequest where sequences without each of their tokens have more tokens than that in all."""
    tokens = lengths.astype(np.int64) * (lengths - 1)
    total = int(tokens.sum())
    if total > most:
        i = int(lengths.argmax())
        raise BadRequest(
            f"sequence {i}: {lengths[i]} tokens; this model runs a sequence again without each of "
            f"its tokens, {total} tokens in all, the limit is {most} per request"
        )


def subtracts(manifest: Manifest, reads: Sequence[Sequence[str]]) -> bool:
    """Whether a token can be taken away from summaries: where tokens meet in sums only, once, and
    none of them is read with its place or another one. reads: the names that each graph does.
    """
    if [stage.kind for stage in manifest.stages] != ["tokens", "sequences"]:
        return False
    stage = manifest.stages[0]
    assert isinstance(stage, TokenStage)
    return (
        all(summary.merge == "add" for summary in stage.summaries)
        and all(name.startswith((COLUMN, CONTEXT)) or name in ALONE for name in reads[0])
        and all(name.startswith((SUMMARY, CONTEXT)) or name == "count" for name in reads[1])
    )
