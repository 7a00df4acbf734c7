"""x_i -> psi(x_i, Sigma): the Sumformer layer (Alberti et al. 2023, Definition 3.1).

With a linear phi, the mean and a linear psi it is DeepSets' equivariant layer; with a maximum
instead of a sum, PointNet's segmentation layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.layers.layer import Frame, SummaryLayer
from models.mlp import ACTIVATIONS, MLP
from models.pools import build_pool
from models.summary import Segments, Summary


class SumformerLayer(SummaryLayer):
    """psi over a token and the summary of its sequence.

    psi's first linear map is split, W_x x_i + (W_s Sigma + b): the second half is computed once
    per sequence and not once per token.
    """

    def __init__(self, own: config.SumformerLayer, frame: Frame) -> None:
        super().__init__()
        self.pool = build_pool(frame.width, own.pool, frame.activation)
        self.merge = self.pool.merge
        first, *rest = own.psi or (own.width,)
        self.from_token = nn.Linear(frame.width, first, bias=False)
        self.from_summary = nn.Linear(self.pool.width, first)
        self.tail: nn.Module = nn.Identity()
        if own.psi:
            self.tail = nn.Sequential(
                ACTIVATIONS[frame.activation](), MLP(first, rest, own.width, frame.activation)
            )

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """The pool's."""
        return self.pool.contribution(hidden, segments)

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> psi(x_i, Sigma), (T, width of psi)."""
        shared = self.from_summary(self.pool.features(summary, segments.counts))
        own = segments.spread(shared)
        out: Tensor = self.tail(torch.addmm(own, hidden, self.from_token.weight.T))
        return out
