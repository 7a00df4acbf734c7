"""Cutting many sequences into runs of whole sequences within a token budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from models.pack import Pack

TOKENS = 16_384


def runs(lengths: Tensor, budget: int) -> Iterator[tuple[int, int]]:
    """Lengths (N,) -> (start, end) of each run, in order.

    A sequence longer than the budget is a run of its own; an empty one counts as one token, so
    that no run grows without bound.
    """
    ends = lengths.clamp(min=1).cumsum(0)
    start = 0
    while start < len(lengths):
        used = int(ends[start - 1]) if start else 0
        end = int(torch.searchsorted(ends, used + budget, right=True))
        yield start, max(end, start + 1)
        start = max(end, start + 1)


def parts(pack: Pack, budget: int = TOKENS) -> Iterator[Pack]:
    """The pack as packs of at most ``budget`` tokens, in order; an empty pack is one part."""
    ends = [0, *pack.lengths.cumsum(0).tolist()]
    for start, end in list(runs(pack.lengths, budget)) or [(0, 0)]:
        tokens = slice(ends[start], ends[end])
        columns = {name: column[tokens] for name, column in pack.columns.items()}
        context = {name: column[start:end] for name, column in pack.context.items()}
        yield replace(pack, columns=columns, context=context, lengths=pack.lengths[start:end])
