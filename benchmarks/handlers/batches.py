"""Sequences of different lengths as one batch: padded to the longest, or packed end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH, BLOCK = 8, 16
Array = np.ndarray[Any, Any]


def padded(sequences: Sequence[Array]) -> tuple[Array, Array]:
    """To the longest: x (B, L, width), mask (B, L, 1)."""
    shape = (len(sequences), max(map(len, sequences)))
    x, mask = np.zeros((*shape, WIDTH), np.float32), np.zeros((*shape, 1), np.float32)
    for i, rows in enumerate(sequences):
        x[i, : len(rows)] = rows
        mask[i, : len(rows)] = 1
    return x, mask


def blocked(sequences: Sequence[Array]) -> tuple[Array, ...]:
    """End to end, in blocks of tokens: what the graph `packed` reads."""
    lengths = np.array([len(x) for x in sequences])
    counts, starts = -(-lengths // BLOCK), np.cumsum(lengths) - lengths
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = (np.repeat(starts, counts) + place * BLOCK)[:, None] + np.arange(BLOCK)
    rows = np.where(rows < np.repeat(starts + lengths, counts)[:, None], rows, lengths.sum())
    belongs = np.repeat(np.arange(len(lengths)), counts) == np.arange(len(lengths))[:, None]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    count = lengths.astype(np.float32)[:, None]
    return np.concatenate(list(sequences)), owner, count, rows, belongs.astype(np.float32)
