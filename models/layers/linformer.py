"""Linformer attention: keys and values projected along the sequence by learned E and F.

Row j of a sequence's E is column j of the learned matrix: shorter sequences use its beginning.
E k and F v are sums over tokens, so this too has a summary of fixed size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.layers.attention import Projections
from models.layers.layer import Frame, SummaryLayer
from models.summary import Segments, Summary


class LinformerLayer(SummaryLayer):
    """softmax(q (E K)^T / sqrt(w)) (F V) (Linformer, eq. 7); E, F in R^(k x max_length)."""

    equivariant = False

    def __init__(
        self, own: config.LinformerLayer, frame: Frame, shared: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        assert frame.max_length is not None, "checked by the configuration"
        self.heads = Projections(own, frame)
        k = own.projection_dim
        self.project_keys = shared if shared is not None else projection(k, frame.max_length)
        headwise = own.sharing == "headwise"
        self.project_values = projection(k, frame.max_length) if headwise else self.project_keys

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"keys", "values"}: (N, H, k, w) each."""
        position = segments.position
        keys, values = self.heads.keys(hidden, position), self.heads.values(hidden)
        return {
            "keys": self._projected(self.project_keys, keys, segments),
            "values": self._projected(self.project_values, values, segments),
        }

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> softmax over the k projected keys of each sequence."""
        query = self.heads.queries(hidden, segments.position)
        query = query * query.shape[-1] ** -0.5
        weights = torch.softmax(segments.apply(query, summary["keys"].mT), dim=-1)
        return self.heads.merged(segments.apply(weights, summary["values"]))

    def _projected(self, projection: Tensor, rows: Tensor, segments: Segments) -> Tensor:
        own = projection.index_select(1, segments.position).T[:, None, :]
        flat = segments.outer(own, rows.flatten(1)[:, None, :])
        split: Tensor = flat[:, 0].unflatten(2, (rows.shape[1], -1))
        return split.transpose(1, 2)


def projection(k: int, length: int) -> nn.Parameter:
    """Learned E or F, (k, length), drawn from N(0, 1/k) (Linformer, Theorem 2)."""
    return nn.Parameter(torch.randn(k, length) * k**-0.5)
