"""Runs a session once before it serves, on its golden inputs over and over, and learns its cost."""

from __future__ import annotations

import time

import numpy as np

from service.engine.cost import Costs
from service.pack import Pack
from service.session import Session

SIZES = (256, 1024, 4096, 16_384)  # tokens of a step, about
ENOUGH_SECONDS = 0.2  # a size that takes longer is the last


def warm(session: Session, golden: Pack, costs: Costs, most: int) -> None:
    """Steps of all sizes up to ``most`` tokens: memory is had, kernels are chosen, costs known."""
    for size in (size for size in SIZES if size <= most):
        pack = _about(golden, size)
        for _ in range(2):  # of what is run first much is spent on getting ready
            started = time.perf_counter()
            run = session.start(pack)
            run.advance()
            seconds = time.perf_counter() - started
        costs.learn(pack.tokens, seconds, [run.spent()])
        if seconds > ENOUGH_SECONDS:
            return


def _about(golden: Pack, tokens: int) -> Pack:
    """Golden sequences, the shorter first, as often as it takes; one at least."""
    order = np.argsort(golden.lengths, kind="stable")
    ends = np.cumsum(golden.lengths[order])
    fit = order[: max(1, int(np.searchsorted(ends, tokens, side="right")))]
    part = golden.take(fit)
    return Pack.join([part] * max(1, tokens // max(1, part.tokens)))
