"""Efficient Attention (Shen et al. 2018): keys softmax over tokens, queries over their width."""

from __future__ import annotations

import torch
from torch import Tensor

from models import config
from models.fixed_attention import BITS, NATS
from models.layers.attention import Projections
from models.layers.layer import Frame, SummaryLayer
from models.precision import wide
from models.summary import Merge, Segments, Summary


class EfficientLayer(SummaryLayer):
    """softmax(q) (softmax(K)^T V): no features, a context of w x w numbers per head."""

    merge: Merge = "softmax"

    def __init__(self, own: config.EfficientLayer, frame: Frame) -> None:
        super().__init__()
        self.heads = Projections(own, frame)
        self.equivariant = not own.rotary

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> top (N, H, w), weighted (N, H, w, w + 1): sum_j exp(k_j - top) (x) [v_j, 1]."""
        key, value = self.heads.keys(hidden, segments.position), self.heads.values(hidden)
        bits = wide(key) * BITS
        top = segments.max(bits.detach()).ceil()
        weights = ((bits - segments.spread(top)) * NATS).exp()
        ones = value.new_ones(*value.shape[:2], 1)
        return {"top": top, "weighted": segments.outer(weights, torch.cat([value, ones], dim=2))}

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> (T, width)."""
        query = self.heads.queries(hidden, segments.position).softmax(dim=-1)
        weighted, total = summary["weighted"][..., :-1], summary["weighted"][..., -1:]
        context = weighted / torch.where(total > 0, total, 1.0)
        return self.heads.merged(segments.apply(query, context))
