"""Summaries: what a layer keeps of a sequence, of a size that does not depend on its length.

A summary is named fields (N, ...), one row per sequence. Summaries of the parts of a sequence merge
into that of the whole, in one of three ways:

    add      every field is a sum
    max      every field is a maximum
    softmax  ``top`` is the largest score, ``weighted`` sums 2^(score - top) times what is read,
             with ``top`` rounded up; other fields are sums

Scores are in bits, so parts are brought to one ``top`` by powers of two: exactly, in whatever order
they merge.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

Summary = dict[str, Tensor]
Merge = Literal["add", "max", "softmax"]


class Segments(Protocol):
    """What a contribution is summed over: the sequences of a pack, or any parts of them.

    T tokens in N segments; `models.pack.Pack` says what each method does.
    """

    @property
    def counts(self) -> Tensor:
        """(N, 2): n, log(1 + n) of each segment in a contribution, of its sequence in a readout."""
        ...

    @property
    def position(self) -> Tensor:
        """(T,) place of each token in its own sequence."""
        ...

    def spread(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (T, ...)."""
        ...

    def sum(self, rows: Tensor) -> Tensor:
        """(T, k) -> (N, k)."""
        ...

    def max(self, rows: Tensor) -> Tensor:
        """(T, ...) -> (N, ...)."""
        ...

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """(T, H, a), (T, H, b) -> (N, H, a, b)."""
        ...

    def apply(self, left: Tensor, matrices: Tensor) -> Tensor:
        """(T, H, a), (N, H, a, b) -> (T, H, b)."""
        ...


def merge(how: Merge, a: Summary, b: Summary) -> Summary:
    """Summaries of two parts -> the summary of both; associative, and commutative."""
    if how == "add":
        return {name: a[name] + b[name] for name in a}
    if how == "max":
        return {name: torch.maximum(a[name], b[name]) for name in a}
    top = torch.maximum(a["top"], b["top"])
    sums = {name: a[name] + b[name] for name in a if name not in ("top", "weighted")}
    return {"top": top, "weighted": _rescaled(a, top) + _rescaled(b, top), **sums}


def _rescaled(part: Summary, top: Tensor) -> Tensor:
    """``weighted`` as if ``top`` had been the part's own; an empty part has top -inf, weight 0."""
    scale = torch.where(part["top"].isfinite(), (part["top"].ceil() - top.ceil()).exp2(), 0.0)
    return part["weighted"] * scale.unsqueeze(-1)
