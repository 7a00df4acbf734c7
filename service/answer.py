"""The JSON wire, outwards: an answer of the engine -> the body of a response."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from service.engine import Answer
from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array
from service.wire import FIELD


def answer_fields(manifest: Manifest, answer: Answer) -> dict[str, Any]:
    """``outputs`` per sequence, and ``labels`` and ``probabilities`` of a classifier.

    Raises BadRequest for a sequence whose output is not finite: JSON has no word for that.
    """
    for name, values in answer.outputs.items():
        for i, value in enumerate(values):
            if not np.isfinite(value).all():
                raise BadRequest(f"{FIELD}[{i}]: output {name!r} is not finite for this input")
    first = manifest.outputs[0]
    if len(manifest.outputs) > 1:
        columns = [answer.outputs[o.name] for o in manifest.outputs]
        names = [o.name for o in manifest.outputs]
        return {
            "outputs": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        }
    values = answer.outputs[first.name]
    fields: dict[str, Any] = {"outputs": values}
    if first.labels:
        fields["labels"] = [_label(v, first.labels) for v in values]
        fields["probabilities"] = [softmax(v) for v in values]
    return fields


def encode(manifest: Manifest, answer: Answer, tokens: int) -> bytes:
    """The response body of a prediction."""
    fields = {
        "model": manifest.name,
        "version": manifest.version,
        **answer_fields(manifest, answer),
        "usage": usage(manifest, answer, tokens),
    }
    return dumps(fields)


def usage(manifest: Manifest, answer: Answer, tokens: int) -> dict[str, float]:
    """What a request took: its size, its wait and the time of the steps it rode in."""
    return {
        "tokens": tokens,
        "sequences": len(answer.outputs[manifest.outputs[0].name]),
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


def _label(logits: Array, labels: tuple[str, ...]) -> Any:
    best = logits.argmax(-1)
    return labels[best] if best.ndim == 0 else [labels[i] for i in best]
