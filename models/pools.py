"""Pools: the summary of a sequence that layers and per-sequence heads read, as one row each.

phi's last linear map is applied after a sum, which is the same function (Definition 3.1:
Sigma = sum_i phi(x_i) = W sum_i body(x_i) + n b) at a fraction of the cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import combinations_with_replacement
from math import comb

import torch
from torch import Tensor, nn

from models import config
from models.fixed_attention import FixedAttention
from models.mlp import MLP
from models.precision import full_precision
from models.summary import Merge, Segments, Summary

MOST_MONOMIALS = 20_000


class Pool(nn.Module, ABC):
    """Hidden tokens -> a summary -> one row of ``width`` features per sequence."""

    merge: Merge
    width: int

    @abstractmethod
    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """hidden (T, w) -> the summary of each segment."""

    @abstractmethod
    def features(self, summary: Summary, counts: Tensor) -> Tensor:
        """The summary of whole sequences, and counts (N, 2) = n, log(1 + n) -> (N, width)."""


class AdditivePool(Pool):
    """What is summed over the tokens, with n or as a mean.

    The logarithm of n comes from outside: a kernel may round it by its place in the tensor.
    """

    merge: Merge = "add"

    def __init__(self, own: config.SumPool | config.PolynomialPool, latent_dim: int) -> None:
        super().__init__()
        self.mean, self.count = own.aggregation == "mean", own.count
        self.latent_dim = latent_dim
        self.width = latent_dim + own.count

    @abstractmethod
    def terms(self, hidden: Tensor) -> Tensor:
        """(T, w) -> (T, k): what is summed."""

    @abstractmethod
    def finish(self, total: Tensor, count: Tensor) -> Tensor:
        """Sums of terms (N, k) over count (N, 1) tokens -> their part of Sigma (N, latent_dim).

        Linear, so parts of a sequence may be finished apart and then added.
        """

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"sum": (N, latent_dim)}."""
        total = segments.sum(self.terms(hidden))
        return {"sum": self.finish(total, segments.counts[:, :1])}

    def features(self, summary: Summary, counts: Tensor) -> Tensor:
        """Sigma, or Sigma / n, and log(1 + n) where counted."""
        total = summary["sum"]
        pooled = total / counts[:, :1].clamp(min=1.0) if self.mean else total
        return _counted(pooled, counts, self.count)


class SumPool(AdditivePool):
    """Sigma = sum_i phi(x_i) with phi an MLP (Sumformer, Definition 3.1)."""

    def __init__(self, width: int, own: config.SumPool, activation: str) -> None:
        super().__init__(own, own.latent_dim)
        self.phi = MLP(width, own.phi, own.latent_dim, activation)

    def terms(self, hidden: Tensor) -> Tensor:
        """phi before its last linear map."""
        out: Tensor = self.phi.body(hidden)
        return out

    def finish(self, total: Tensor, count: Tensor) -> Tensor:
        """phi's last linear map."""
        with full_precision(total):
            return total @ self.phi.last.weight.T + count * self.phi.last.bias


class PolynomialPool(AdditivePool):
    """phi(x) = all monomials of x of degree 1..D: d' = C(d + D, d) - 1 (Sumformer, section 4.1).

    Each is a monomial of one degree less times one coordinate: products only, no powers, so that
    signs and zeros are exact.
    """

    def __init__(self, width: int, own: config.PolynomialPool, activation: str) -> None:
        latent_dim = comb(width + own.degree, width) - 1
        if latent_dim > MOST_MONOMIALS:
            raise ValueError(
                f"polynomial phi: {latent_dim} monomials of degree 1..{own.degree} in "
                f"{width} variables, more than {MOST_MONOMIALS}"
            )
        super().__init__(own, latent_dim)
        parents, factors = _recurrence(width, own.degree)
        for level, (parent, factor) in enumerate(zip(parents, factors, strict=True)):
            self.register_buffer(f"parent{level}", torch.tensor(parent), persistent=False)
            self.register_buffer(f"factor{level}", torch.tensor(factor), persistent=False)
        self.degree = own.degree

    def terms(self, hidden: Tensor) -> Tensor:
        """All d' monomials: by degree, then in lexicographic order of the factors."""
        levels = [hidden]
        for i in range(self.degree - 1):
            parent = levels[-1].index_select(1, self.get_buffer(f"parent{i}"))
            levels.append(parent * hidden.index_select(1, self.get_buffer(f"factor{i}")))
        return torch.cat(levels, dim=1)

    def finish(self, total: Tensor, count: Tensor) -> Tensor:
        """The sums are Sigma itself."""
        return total


class MaxPool(Pool):
    """The largest of each value of phi (PointNet); zero for an empty sequence."""

    merge: Merge = "max"

    def __init__(self, width: int, own: config.MaxPool, activation: str) -> None:
        super().__init__()
        self.phi = MLP(width, own.phi, own.latent_dim, activation)
        self.count = own.count
        self.width = own.latent_dim + own.count

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"max": (N, latent_dim)}; -inf for an empty segment."""
        return {"max": segments.max(self.phi(hidden))}

    def features(self, summary: Summary, counts: Tensor) -> Tensor:
        """The maxima, and log(1 + n) where counted."""
        top = summary["max"]
        return _counted(torch.where(top.isfinite(), top, 0.0), counts, self.count)


class AttentionPool(Pool):
    """PMA_k (Set Transformer, section 3.2): rows of k seeds that attend to the sequence.

    Like the paper's own code it leaves out the rFF before the seeds read.
    """

    merge: Merge = "softmax"

    def __init__(self, width: int, own: config.AttentionPool, activation: str) -> None:
        super().__init__()
        self.seeds = FixedAttention(width, own.seeds, own.heads, activation, own.mix)
        self.count = own.count
        self.width = own.seeds * width + own.count

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"top": (N, H, k), "weighted": (N, H, k, w + 1)}."""
        return self.seeds.contribution(hidden, segments)

    def features(self, summary: Summary, counts: Tensor) -> Tensor:
        """The seeds' rows side by side, and log(1 + n) where counted."""
        return _counted(self.seeds.rows(summary).flatten(1), counts, self.count)


POOLS: dict[str, type[Pool]] = {
    "sum": SumPool,
    "polynomial": PolynomialPool,
    "max": MaxPool,
    "attention": AttentionPool,
}


def build_pool(width: int, own: config.Pool, activation: str) -> Pool:
    """The pool that a configuration asks for, over hidden tokens of this width."""
    return POOLS[own.kind](width, own, activation)


def _counted(pooled: Tensor, counts: Tensor, count: bool) -> Tensor:
    return torch.cat([pooled, counts[:, 1:]], dim=1) if count else pooled


def _recurrence(width: int, degree: int) -> tuple[list[list[int]], list[list[int]]]:
    """For every degree from 2: which monomial of one degree less, and which coordinate times it."""
    parents, factors = [], []
    before: list[tuple[int, ...]] = [(i,) for i in range(width)]
    for d in range(2, degree + 1):
        now: list[tuple[int, ...]] = list(combinations_with_replacement(range(width), d))
        place = {monomial: i for i, monomial in enumerate(before)}
        parents.append([place[monomial[:-1]] for monomial in now])
        factors.append([monomial[-1] for monomial in now])
        before = now
    return parents, factors
