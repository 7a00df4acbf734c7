"""ISAB (Set Transformer, section 3.3): a few learned points read the sequence, and are read by it.

The first half is attention from fixed queries and so a summary; the second is token-wise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.fixed_attention import FeedForward, FixedAttention
from models.layers.attention import Projections
from models.layers.layer import Frame, SummaryLayer
from models.summary import Merge, Segments, Summary


class InducedLayer(SummaryLayer):
    """MAB(X, MAB(I, X)), with the paper's residuals and norms inside."""

    merge: Merge = "softmax"

    def __init__(self, own: config.InducedLayer, frame: Frame) -> None:
        super().__init__()
        self.points = FixedAttention(
            frame.width, own.points, own.heads, frame.activation, mix=False
        )
        self.heads = Projections(config.Attention(heads=own.heads), frame)
        self.norm = nn.LayerNorm(frame.width)
        self.feed_forward = FeedForward(frame.width, frame.activation)

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """The points' attention over each segment."""
        return self.points.contribution(hidden, segments)

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> every token's attention over its sequence's points, (T, width)."""
        points, heads = self.points.rows(summary), self.heads
        keys, values = heads.split(heads.key(points)), heads.split(heads.value(points))
        query = heads.queries(hidden, segments.position) * heads.head_width**-0.5
        weights = torch.softmax(segments.apply(query, keys.permute(0, 2, 3, 1)), dim=-1)
        mixed = heads.merged(segments.apply(weights, values.transpose(1, 2)))
        out: Tensor = self.feed_forward(self.norm(hidden + mixed))
        return out
