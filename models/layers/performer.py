"""FAVOR+ attention (Performer): positive random features, so that tokens meet in a sum.

The usual stabiliser takes the largest key feature over all positions, which would couple tokens.
Here keys have exp(c - |k - w|^2 / 2) <= exp(c), queries compensate with exp(|w|^2 / 2) and are
stabilised one by one; normalised, it is the same function. The constant c keeps both in range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models import config
from models.layers.attention import Projections
from models.layers.layer import Frame, SummaryLayer
from models.precision import full_precision, wide
from models.summary import Segments, Summary

KERNEL_EPSILON = 1e-3  # the Performer paper's, for the ReLU kernel
HIGHEST = 60.0  # exp(60) leaves float32 room for sums of 10^12 tokens


class PerformerLayer(SummaryLayer):
    """softmax(q k^T / sqrt(w)) v in expectation over the features, in O(n).

    ``omega`` (num_features, w) is part of the checkpoint.
    """

    omega: Tensor

    def __init__(self, own: config.PerformerLayer, frame: Frame) -> None:
        super().__init__()
        self.heads = Projections(own, frame)
        self.equivariant = not own.rotary
        self.relu, self.redraw_every = own.features == "relu", own.redraw_every
        self.register_buffer("omega", orthogonal(own.num_features, self.heads.head_width))

    def redraw(self, step: int, generator: torch.Generator) -> None:
        """Draw the features anew, every ``redraw_every`` steps."""
        if self.redraw_every is None or step % self.redraw_every:
            return
        features, width = self.omega.shape
        self.omega.copy_(orthogonal(features, width, generator))

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """-> {"outer": (N, H, m, w + 1)}: sum_j k'_j (x) [v_j, 1]."""
        key, value = self.heads.keys(hidden, segments.position), self.heads.values(hidden)
        ones = value.new_ones(*value.shape[:2], 1)
        return {"outer": segments.outer(self._key(key), torch.cat([value, ones], dim=2))}

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """-> q' S[:, :w] / (q' . S[:, w])."""
        query = self._query(self.heads.queries(hidden, segments.position))
        read = segments.apply(query, summary["outer"])
        total = read[..., -1:].clamp(min=torch.finfo(read.dtype).tiny)
        return self.heads.merged(read[..., :-1] / total)

    def _key(self, key: Tensor) -> Tensor:
        scaled = key * key.shape[-1] ** -0.25
        if self.relu:
            return relu_features(scaled, self.omega)
        return key_features(scaled, self.omega)

    def _query(self, query: Tensor) -> Tensor:
        scaled = query * query.shape[-1] ** -0.25
        if self.relu:
            return relu_features(scaled, self.omega)
        return query_features(scaled, self.omega)


def key_features(key: Tensor, omega: Tensor) -> Tensor:
    """exp(c - |k - w|^2 / 2): (..., w) -> (..., m), at most exp(c).

    c is the mean of |w|^2 / 2: without it wide heads underflow in float32. Values over exp(60), of
    a key almost equal to a feature in a wide head, would overflow, and those under exp(-60), of a
    key far from all, vanish and leave nothing to normalise: both are cut.
    """
    key, norms = wide(key), _half_square(omega).T
    with full_precision(key):
        exponent = key @ omega.T - _half_square(key) - (norms - norms.mean())
    features: Tensor = exponent.clamp(-HIGHEST, HIGHEST).exp()
    return features


def query_features(query: Tensor, omega: Tensor) -> Tensor:
    """exp(w . q + |w|^2 / 2), over its largest: (..., w) -> (..., m); a scale per query cancels."""
    query = wide(query)
    with full_precision(query):
        exponent = query @ omega.T + _half_square(omega).T
    features: Tensor = (exponent - exponent.detach().amax(dim=-1, keepdim=True)).exp()
    return features


def relu_features(rows: Tensor, omega: Tensor) -> Tensor:
    """max(w . x, 0) and a little more: (..., w) -> (..., m), for queries and keys alike."""
    features: Tensor = (rows @ omega.T).relu() + KERNEL_EPSILON
    return features


def _half_square(rows: Tensor) -> Tensor:
    return rows.square().sum(dim=-1, keepdim=True) / 2


def orthogonal(features: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """(features, width): rows of blocks of random rotations, with the norms of Gaussian rows.

    QR alone prefers some directions, by its convention for signs: with R's diagonal made positive
    every direction is as likely (Mezzadri 2007). Without that the features are biased.
    """
    blocks = -(-features // width)
    q, r = torch.linalg.qr(torch.randn(blocks, width, width, generator=generator))
    signs = r.diagonal(dim1=1, dim2=2).sign()
    rotations = (q * signs[:, None, :]).mT.reshape(-1, width)[:features]
    norms = torch.randn(features, width, generator=generator).norm(dim=1, keepdim=True)
    drawn: Tensor = rotations * norms
    return drawn
