"""FAVOR+ with an epsilon beside the keys' exponentials, as performer-pytorch computes it.

k'_j = exp(d_j - |k_j|^2 / 2 - M) + epsilon with d_j = w . k_j and M the largest d of the sequence,
over tokens and features: M does not cancel, so it is part of the summary. Foreign weights need it;
`performer` is the same attention without an epsilon and without M.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models import config
from models.fixed_attention import BITS, NATS
from models.layers.attention import Projections
from models.layers.layer import Frame, SummaryLayer
from models.layers.performer import orthogonal
from models.precision import full_precision, wide
from models.summary import Merge, Segments, Summary


class FavorLayer(SummaryLayer):
    """q' (A + epsilon 1 (x) B) / its last column, with A = sum_j (k'_j - epsilon) (x) [v_j, 1] and
    B = sum_j [v_j, 1].
    """

    merge: Merge = "softmax"
    omega: Tensor

    def __init__(self, own: config.FavorLayer, frame: Frame) -> None:
        super().__init__()
        self.heads, self.epsilon = Projections(own, frame), own.epsilon
        self.equivariant = not own.rotary
        self.register_buffer("omega", orthogonal(own.num_features, self.heads.head_width))

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> top (N, H, 1) = M in bits, weighted (N, H, m, w + 1) = A, plain (N, H, w) = sum v."""
        key, value = self.heads.keys(hidden, segments.position), self.heads.values(hidden)
        dots, squares = self._exponents(key)
        top = segments.max((dots * BITS).detach().amax(dim=-1, keepdim=True))
        weights = (((dots - squares) * BITS - segments.spread(top.ceil())) * NATS).exp()
        ones = value.new_ones(*value.shape[:2], 1)
        return {
            "top": top,
            "weighted": segments.outer(weights, torch.cat([value, ones], dim=2)),
            "plain": segments.sum(value.flatten(1)).unflatten(1, value.shape[1:]),
        }

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> (T, width)."""
        dots, squares = self._exponents(self.heads.queries(hidden, segments.position))
        query = (dots - squares - dots.detach().amax(dim=-1, keepdim=True)).exp() + self.epsilon
        top, plain = summary["top"], summary["plain"]
        count = segments.counts[:, None, :1].expand(*plain.shape[:2], 1)
        # weighted is under top rounded up: so is epsilon's part
        part = self.epsilon * ((top - top.ceil()) * NATS).exp() * torch.cat([plain, count], dim=2)
        read = segments.apply(query, summary["weighted"] + part[:, :, None, :])
        return self.heads.merged(read[..., :-1] / read[..., -1:])

    def _exponents(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """rows (T, H, w) -> w . x (T, H, m) and |x|^2 / 2 (T, H, 1), x = rows / w^(1/4)."""
        scaled = wide(rows) * rows.shape[-1] ** -0.25
        with full_precision(scaled):
            return scaled @ self.omega.T, scaled.square().sum(dim=-1, keepdim=True) / 2
