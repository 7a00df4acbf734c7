"""Padded lengths: few different ones, little waste, each from a sequence's own length alone."""

from __future__ import annotations

import numpy as np

from service.pack import BLOCK, Array


def padded_lengths(lengths: Array) -> Array:
    """Lengths (N,) -> (N,) whole blocks, 15 or an eighth longer at most; 0 stays 0.

    Each depends on its own length alone, so that a sequence is padded alike in any company.
    """
    step = 2.0 ** np.floor(np.log2(np.maximum(lengths, 1))) / 8
    step = np.maximum(step, BLOCK).astype(np.int64)
    return np.asarray(-(-lengths // step) * step)
