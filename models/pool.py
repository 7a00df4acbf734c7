"""The one cross-token operation: a sum over the tokens of a sequence, and what is read from it.

phi's last linear map is applied after the sum, which is the same function (Definition 3.1:
Sigma = sum_i phi(x_i) = W sum_i body(x_i) + n b) at a fraction of the cost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.config import LayerConfig, PoolConfig, SequenceHead
from models.mlp import ACTIVATIONS, MLP


class Pool(nn.Module):
    """Sigma and n of a sequence, and the features a readout takes from them."""

    def __init__(self, width: int, config: PoolConfig, activation: str) -> None:
        super().__init__()
        self.phi = MLP(width, config.phi, config.latent_dim, activation)
        self.mean = config.aggregation == "mean"
        self.count = config.count
        self.latent_dim = config.latent_dim
        self.feature_width = config.latent_dim + config.count

    def terms(self, hidden: Tensor) -> Tensor:
        """(T, width) -> (T, k): what is summed over the tokens."""
        out: Tensor = self.phi.body(hidden)
        return out

    def finish(self, total: Tensor, count: Tensor) -> Tensor:
        """Sums of terms (B, k) over count (B, 1) tokens -> their part of Sigma (B, latent_dim).

        Linear, so parts of a sequence may be finished apart and then added.
        """
        return total @ self.phi.last.weight.T + count * self.phi.last.bias

    def features(self, summary: Tensor, count: Tensor) -> Tensor:
        """Sigma (N, latent_dim) and n, log(1 + n) (N, 2) -> (N, feature_width).

        The logarithm comes from outside: a kernel may round it by its place in the tensor.
        """
        pooled = summary / count[:, :1].clamp(min=1.0) if self.mean else summary
        return torch.cat([pooled, count[:, 1:]], dim=1) if self.count else pooled


class SumLayer(nn.Module):
    """x_i -> psi(x_i, Sigma): a Sumformer layer (Definition 3.1), residual where configured.

    psi's first linear map is split, W_x x_i + (W_s Sigma + b): the second half is computed once
    per sequence and not once per token.
    """

    def __init__(self, width: int, config: LayerConfig, activation: str) -> None:
        super().__init__()
        self.pool = Pool(width, config.pool, activation)
        first, *rest = config.psi or (config.width,)
        self.from_token = nn.Linear(width, first, bias=False)
        self.from_summary = nn.Linear(self.pool.feature_width, first)
        self.tail: nn.Module = nn.Identity()
        if config.psi:
            self.tail = nn.Sequential(
                ACTIVATIONS[activation](), MLP(first, rest, config.width, activation)
            )
        self.residual = config.residual

    def readout(self, hidden: Tensor, summary: Tensor, count: Tensor, owner: Tensor) -> Tensor:
        """hidden (T, width), summary (N, latent_dim), count (N, 2), owner (T,) -> (T, width')."""
        shared = self.from_summary(self.pool.features(summary, count))
        own = shared.index_select(0, owner)
        out: Tensor = self.tail(torch.addmm(own, hidden, self.from_token.weight.T))
        return hidden + out if self.residual else out


class SumHead(nn.Module):
    """rho(sum_i phi(h_i), n): one row per sequence; reads the summary and no token."""

    def __init__(self, width: int, config: SequenceHead, activation: str) -> None:
        super().__init__()
        self.pool = Pool(width, config.pool, activation)
        self.rho = MLP(self.pool.feature_width, config.rho, config.width, activation)

    def readout(self, summary: Tensor, count: Tensor) -> Tensor:
        """summary (N, latent_dim), count (N, 2) -> (N, width of the output)."""
        out: Tensor = self.rho(self.pool.features(summary, count))
        return out
