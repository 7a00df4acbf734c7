"""Equivariant targets where the paper names none (Figure 1), and what predicts them untrained.

Component-wise in a token x: two polynomials, `cubic` and `dot`, and two that are none.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from experiments.fitting import Target

# of the tokens x, the sum of each one's others, and the maximum of all
FORMULAE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cubic": lambda x, s, top: x + 7 * x**2 + 3 * x * s**3,
    "dot": lambda x, s, top: x * (x * s).sum(2, keepdim=True),
    "maximum": lambda x, s, top: x * top,
    "wave": lambda x, s, top: (3 * x + 2 * s).sin(),
}


def targets(others: Target, top: Target) -> dict[str, Target]:
    """The four targets, (B, n, d) -> (B, n, d), by how the others and the maximum are measured."""

    def of(name: str) -> Target:
        return lambda x: FORMULAE[name](x, others(x), top(x))

    return {name: of(name) for name in FORMULAE}


def constant(target: Target, tokens: Tensor) -> float:
    """Error of the best constant, the mean over everything, on tokens (B, n, d)."""
    wanted = target(tokens)
    return float((wanted - wanted.mean((0, 1))).norm() / wanted.norm())


def without_others(target: Target, tokens: Tensor, samples: int) -> float:
    """Error of the best function of a first token alone: the target's mean over its others.

    tokens: (B, n, d); the others are drawn ``samples`` times, uniform in [0, 1]^d.
    """
    generator = torch.Generator().manual_seed(2)
    _, n, d = tokens.shape
    missed, size = 0.0, 0.0
    for x, y in zip(tokens[:, 0], target(tokens)[:, 0], strict=True):
        others = torch.rand(samples, n - 1, d, generator=generator)
        every = torch.cat([x.expand(samples, 1, d), others], dim=1)
        missed += float((target(every)[:, 0].mean(0) - y).square().sum())
        size += float(y.square().sum())
    return float((missed / size) ** 0.5)
