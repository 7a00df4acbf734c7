"""The three length mixes every benchmark uses: 2,048 sequences in 64 groups of 32, unsorted."""

from __future__ import annotations

import numpy as np

GROUPS, GROUP = 64, 32


def mixes() -> dict[str, np.ndarray]:
    """Name -> lengths (64, 32): equal, lognormal, and one long among short in every group."""
    rng = np.random.default_rng(0)
    shape = (GROUPS, GROUP)
    lognormal = np.exp(rng.normal(np.log(96), 1.4, shape)).astype(np.int64).clip(4, 8192)
    among_short = rng.integers(10, 401, shape)
    among_short[np.arange(GROUPS), rng.integers(0, GROUP, GROUPS)] = 8000
    return {
        "equal": np.full(shape, 128),
        "lognormal": lognormal,
        "long-among-short": among_short,
    }
