"""An explanation as the body of a response, in JSON or as an Arrow stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.errors import BadRequest
from service.explain.found import Changes, Found
from service.manifest import Manifest, Output
from service.pack import Array
from service.wires import arrow_answer, json_answer

CHANGE, PROBABILITY_CHANGE = "change", "probability_change"


def as_json(
    manifest: Manifest,
    outputs: tuple[Output, ...],
    lengths: Array,
    found: Found,
    changes: Changes,
    usage: Mapping[str, Any],
) -> bytes:
    """As a prediction's, and ``changes``: for each sequence its tokens' (n, width).

    ``probability_changes`` are beside ``probabilities``.
    """
    answer = json_answer.answer(manifest, lengths, found.outputs, outputs)
    answer["changes"] = _per_token(manifest, outputs, lengths, changes.changes)
    labelled = tuple(output for output in outputs if output.labels)
    if labelled:
        rows = changes.probability_changes
        answer["probability_changes"] = _per_token(manifest, labelled, lengths, rows)
    head = {"model": manifest.name, "version": manifest.version}
    return json_answer.dumps({**head, **answer, "usage": usage})


def as_arrow(outputs: tuple[Output, ...], lengths: Array, found: Found, changes: Changes) -> bytes:
    """A row per sequence: as a prediction's, and beside every output NAME.change, a list of what
    each token changes, and NAME.probability_change where there is a NAME.probability.
    """
    columns: dict[str, Any] = {}
    for output in outputs:
        columns |= dict(arrow_answer.columns_of(output, found.outputs[output.name]))
    ends = np.cumsum(lengths)
    for rows, what in (
        (changes.changes, CHANGE),
        (changes.probability_changes, PROBABILITY_CHANGE),
    ):
        for output in outputs:
            if output.name in rows:
                name = f"{output.name}.{what}"
                if name in columns:
                    raise BadRequest(f"output {name!r} takes the name of changes; ask for JSON")
                ((_, numbers),) = arrow_answer.columns_of(_plain(output), rows[output.name])
                columns[name] = arrow_answer.lists(numbers, ends)
    return arrow_answer.written(arrow_answer.struct(columns, len(lengths)))


def _per_token(
    manifest: Manifest, outputs: tuple[Output, ...], lengths: Array, rows: Mapping[str, Array]
) -> Any:
    plain = [_plain(output) for output in outputs]
    return json_answer.answer(manifest, lengths, rows, plain)["outputs"]


def _plain(output: Output) -> Output:
    """Numbers per token, without classes."""
    return output.model_copy(update={"per": "token", "labels": None})
