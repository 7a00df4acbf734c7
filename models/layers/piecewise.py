"""The discontinuous proof of Theorem 4.1 (Sumformer, section 4.1 and appendix A) as a layer.

phi(x) = (n + 1)^c for a token in cell c of a grid over [0, 1]^d: a sum of them, one number
(d' = 1), is the histogram of the cells in base n + 1 and so tells every multiset from every other.
psi looks up (the token's cell, the sum) in a table. Exact while sums stay below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from math import comb, log2

import torch
from torch import Tensor, nn

from models import config
from models.layers.layer import Frame, SummaryLayer
from models.summary import Segments, Summary

MOST_ROWS = 2_000_000


class PiecewiseLayer(SummaryLayer):
    """A table over (cell of the token, multiset of cells); its rows are the weights."""

    powers: Tensor
    codes: Tensor
    keys: Tensor

    def __init__(self, own: config.PiecewiseLayer, frame: Frame) -> None:
        super().__init__()
        self.side, self.length, self.grid = own.cells, own.length, own.cells**frame.width
        self.width = frame.width
        _refuse(own, frame)
        powers = [(own.length + 1) ** c for c in range(self.grid)]
        coded = sorted((sum(powers[c] for c in m), m) for m in _multisets(self.grid, own.length))
        self.multisets = [multiset for _, multiset in coded]
        keys = [i * self.grid + c for i, m in enumerate(self.multisets) for c in sorted(set(m))]
        codes = torch.tensor([code for code, _ in coded])
        self.register_buffer("powers", torch.tensor(powers), persistent=False)
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("keys", torch.tensor(keys), persistent=False)
        self.table = nn.Parameter(torch.zeros(len(keys), own.width))

    def cell(self, tokens: Tensor) -> Tensor:
        """tokens (T, d) in [0, 1] -> (T,) number of their cell; 1 belongs to the last."""
        place = (tokens * self.side).floor().long().clamp(0, self.side - 1)
        weights = self.side ** torch.arange(tokens.shape[1], device=tokens.device)
        return (place * weights).sum(1)

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"code": (N, 1)}, exact integers that a float64 would hold too."""
        return {"code": segments.sum(self.powers[self.cell(hidden)][:, None])}

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> the table's row of each token, (T, width)."""
        multiset = _place(self.codes, summary["code"][:, 0])
        key = segments.spread(multiset) * self.grid + self.cell(hidden)
        return self.table.index_select(0, _place(self.keys, key))

    @torch.no_grad()
    def tabulate(self, target: Callable[[Tensor], Tensor]) -> None:
        """Fill the table with the proof's values: the target at the centres of the cells.

        ``target`` maps sequences (B, n, d) to (B, n, width), for every n up to ``length``.
        """
        for n in range(1, self.length + 1):
            rows = [i for i, multiset in enumerate(self.multisets) if len(multiset) == n]
            cells = torch.tensor([self.multisets[i] for i in rows])
            values = target(self._centre(cells)).to(self.table.dtype)
            keys = torch.tensor(rows)[:, None] * self.grid + cells
            self.table[_place(self.keys, keys)] = values

    def _centre(self, cells: Tensor) -> Tensor:
        """(...) numbers of cells -> (..., d) their centres."""
        weights = self.side ** torch.arange(self.width)
        place = cells[..., None] // weights % self.side
        return (place.to(self.table.dtype) + 0.5) / self.side


def _place(ascending: Tensor, values: Tensor) -> Tensor:
    """Where values (...) lie among ascending numbers (M,): a binary search of log2 M steps.

    torch.searchsorted has no counterpart in ONNX.
    """
    low = torch.zeros_like(values)
    for bit in reversed(range(len(ascending).bit_length())):
        further = low + 2**bit
        inside = further < len(ascending)
        probe = ascending[torch.where(inside, further, 0)]
        low = torch.where(inside & (probe <= values), further, low)
    return low


def _multisets(grid: int, length: int) -> list[tuple[int, ...]]:
    cells = range(grid)
    return [m for n in range(1, length + 1) for m in combinations_with_replacement(cells, n)]


def finest(length: int, width: int) -> int:
    """The most cells per side that sequences of up to ``length`` tokens allow; at least 1."""
    cells = 1
    while not _impossible(cells + 1, length, width):
        cells += 1
    return cells


def _refuse(own: config.PiecewiseLayer, frame: Frame) -> None:
    if frame.max_length is None or frame.max_length > own.length:
        raise ValueError(
            f"piecewise: max_length must be given and at most the layer's {own.length}"
        )
    reason = _impossible(own.cells, own.length, frame.width)
    if reason is not None:
        raise ValueError(f"piecewise: {reason}")


def _impossible(cells: int, length: int, width: int) -> str | None:
    """Why a grid cannot work, or None."""
    grid = cells**width
    bits = grid * log2(length + 1)
    if bits > 53:
        return (
            f"{cells}^{width} = {grid} cells and {length} tokens need sums of {bits:.0f} bits; a "
            "float64 holds integers of 53"
        )
    rows = grid * comb(grid + length - 1, length - 1)
    return f"a table of {rows} rows, more than {MOST_ROWS}" if rows > MOST_ROWS else None
