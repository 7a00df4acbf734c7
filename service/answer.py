"""The JSON wire, outwards: an answer of the engine -> the body of a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.engine import Answer, Outputs
from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array
from service.wire import FIELD


def answer_fields(manifest: Manifest, outputs: Outputs) -> dict[str, Any]:
    """``outputs`` per sequence, and ``labels`` and ``probabilities`` of a classifier.

    Raises BadRequest for a sequence whose output is not finite: JSON has no word for that.
    """
    for name, values in outputs.items():
        _check_finite(name, values)
    if len(manifest.outputs) > 1:
        named = zip(*outputs.values(), strict=True)
        return {"outputs": [dict(zip(outputs, row, strict=True)) for row in named]}
    values, labels = outputs[manifest.outputs[0].name], manifest.outputs[0].labels
    if not labels:
        return {"outputs": values}
    if manifest.outputs[0].per == "sequence":
        rows = np.stack(values)
        return {"outputs": rows, "labels": _label(rows, labels), "probabilities": softmax(rows)}
    return {
        "outputs": values,
        "labels": [_label(v, labels) for v in values],
        "probabilities": [softmax(v) for v in values],
    }


def _check_finite(name: str, values: list[Array]) -> None:
    if np.isfinite(np.concatenate([v.ravel() for v in values])).all():
        return
    i = next(i for i, value in enumerate(values) if not np.isfinite(value).all())
    raise BadRequest(f"{FIELD}[{i}]: output {name!r} is not finite for this input")


def encode(manifest: Manifest, answer: Answer, usage: dict[str, float]) -> bytes:
    """The response body of a prediction."""
    fields = answer_fields(manifest, answer.outputs)
    head = {"model": manifest.name, "version": manifest.version}
    return dumps({**head, **fields, "usage": usage})


def usage(answer: Answer, lengths: Sequence[int]) -> dict[str, float]:
    """What a request took: its size, its wait and the time of the steps it rode in."""
    return {
        "tokens": sum(lengths),
        "sequences": len(lengths),
        "queue_ms": round(answer.queue_ms, 3),
        "compute_ms": round(answer.compute_ms, 3),
    }


def dumps(value: Any) -> bytes:
    """JSON, numpy arrays included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def _label(logits: Array, labels: tuple[str, ...]) -> list[str]:
    """(n, classes) -> the best label of each row."""
    return [labels[i] for i in logits.argmax(-1)]
