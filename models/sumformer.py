"""Sumformer (Alberti et al. 2023, Definition 3.1): a residual stack of phi-sum-psi layers on packs.

The forward is written as the same steps that `export` cuts into stages: hidden tokens, summary,
hidden tokens, summary, ..., output.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.config import IdsInput, SequenceHead, SumformerConfig, TokenHead
from models.embedding import IdEmbedding, VectorEmbedding
from models.mlp import MLP
from models.pack import Pack
from models.pool import Pool, SumHead, SumLayer


class Sumformer(nn.Module):
    """Sets or token sequences of any length -> one row per token or per sequence."""

    def __init__(self, config: SumformerConfig) -> None:
        super().__init__()
        self.config = config
        widths, act = config.hidden_widths(), config.activation
        self.embed: IdEmbedding | VectorEmbedding
        if isinstance(config.input, IdsInput):
            self.embed = IdEmbedding(config.input, widths[0])
        else:
            self.embed = VectorEmbedding(config.input, config.embedding)
        self.layers = nn.ModuleList(
            SumLayer(width, layer, act) for width, layer in zip(widths, config.layers, strict=False)
        )
        self.head = _head(widths[-1], config.head, act)

    def pools(self) -> list[Pool]:
        """The sums a forward pass takes, in order: one per layer, and the head's if it has one."""
        pools = [layer.pool for layer in self.layers if isinstance(layer, SumLayer)]
        return [*pools, self.head.pool] if isinstance(self.head, SumHead) else pools

    def forward(self, pack: Pack) -> Tensor:
        """Pack of T tokens in N sequences -> (T, width) or (N, width), as the head says."""
        hidden: Tensor = self.embed(pack.tokens)
        for layer in self.layers:
            assert isinstance(layer, SumLayer)
            summary = _summary(layer.pool, hidden, pack)
            hidden = layer.readout(hidden, summary, pack.counts, pack.owner)
        if isinstance(self.head, SumHead):
            return self.head.readout(_summary(self.head.pool, hidden, pack), pack.counts)
        out: Tensor = self.head(hidden)
        return out


def _summary(pool: Pool, hidden: Tensor, pack: Pack) -> Tensor:
    return pool.finish(pack.sum(pool.terms(hidden)), pack.counts[:, :1])


def _head(width: int, config: TokenHead | SequenceHead, activation: str) -> nn.Module:
    if isinstance(config, SequenceHead):
        return SumHead(width, config, activation)
    if config.hidden is None:
        return nn.Identity()
    return MLP(width, config.hidden, config.width, activation)
