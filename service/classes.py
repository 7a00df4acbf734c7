"""What a classification's logits say: the label of the largest, and probabilities."""

from __future__ import annotations

import numpy as np

from service.pack import Array


def softmax(logits: Array) -> Array:
    """(..., classes) -> probabilities over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def best(logits: Array, labels: tuple[str, ...]) -> list[str]:
    """(R, classes) -> the label of each row's largest logit."""
    return [labels[i] for i in logits.argmax(-1)]
