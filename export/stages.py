"""Cuts a model into token-wise stages, one ONNX graph each, meeting at the summaries.

    tokens -> hidden, contribution | hidden, summary -> hidden, contribution | ... -> output

The parts are the model's own modules; nothing here computes anything of its own but the sum of
the terms of a block of tokens (`BlockSum`), which the torch forward does per sequence instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from models.pool import Pool, SumHead, SumLayer
from models.sumformer import Sumformer
from service.pack import BLOCK

# Example sizes for tracing, all different, none 0 or 1, so that no two dimensions are confused.
TOKENS, SEQUENCES, BLOCKS = 7, 3, 5


@dataclass(frozen=True, slots=True)
class StageGraph:
    """A module to export, with the names and examples of its inputs and the names it yields."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    summary_width: int | None


class BlockSum(nn.Module):
    """Terms of tokens -> their part of Sigma, per block.

    A zero row is appended for the places of a block that hold no token, so that tokens are never
    padded where the work is, in the matrix products.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, hidden: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """hidden (T, width), rows (B, BLOCK), sizes (B, 1) -> (B, latent_dim)."""
        terms = self.pool.terms(hidden)
        padded = torch.cat([terms, torch.zeros(1, terms.shape[1], dtype=terms.dtype)])
        return self.pool.finish(embedding(rows, padded).sum(dim=1), sizes)


class FirstStage(nn.Module):
    """Input column -> contribution to the first summary, and hidden tokens if they are read."""

    def __init__(self, embed: nn.Module, pool: Pool, keep_hidden: bool) -> None:
        super().__init__()
        self.embed, self.sum, self.keep_hidden = embed, BlockSum(pool), keep_hidden

    def forward(self, tokens: Tensor, rows: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """-> contribution (B, latent_dim), hidden (T, width)."""
        hidden = self.embed(tokens)
        contribution = self.sum(hidden, rows, sizes)
        return (contribution, hidden) if self.keep_hidden else (contribution,)


class MiddleStage(nn.Module):
    """A layer's readout -> contribution to the next summary, and hidden tokens if they are read."""

    def __init__(self, layer: SumLayer, pool: Pool, keep_hidden: bool) -> None:
        super().__init__()
        self.layer, self.sum, self.keep_hidden = layer, BlockSum(pool), keep_hidden

    def forward(
        self,
        hidden: Tensor,
        summary: Tensor,
        count: Tensor,
        owner: Tensor,
        rows: Tensor,
        sizes: Tensor,
    ) -> tuple[Tensor, ...]:
        """-> contribution (B, latent_dim), hidden (T, width')."""
        after = self.layer.readout(hidden, summary, count, owner)
        contribution = self.sum(after, rows, sizes)
        return (contribution, after) if self.keep_hidden else (contribution,)


class TokenOutput(nn.Module):
    """The last layer's readout and the per-token head."""

    def __init__(self, layer: SumLayer, head: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, head

    def forward(self, hidden: Tensor, summary: Tensor, count: Tensor, owner: Tensor) -> Tensor:
        """-> (T, width of the output)."""
        out: Tensor = self.head(self.layer.readout(hidden, summary, count, owner))
        return out


class SequenceOutput(nn.Module):
    """The head that reads only the last summary."""

    def __init__(self, head: SumHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, summary: Tensor, count: Tensor) -> Tensor:
        """-> (N, width of the output)."""
        return self.head.readout(summary, count)


def cut(model: Sumformer) -> list[StageGraph]:
    """The stages of a model, in order; summaries are folded between them."""
    pools, layers = model.pools(), [layer for layer in model.layers if isinstance(layer, SumLayer)]
    keeps = [not (pool is pools[-1] and isinstance(model.head, SumHead)) for pool in pools]
    graphs = [_first(model, pools[0], keeps[0])]
    for layer, before, pool, keep in zip(layers, pools, pools[1:], keeps[1:], strict=False):
        inputs = {**_readout_inputs(layer, before), **_block_inputs()}
        graphs.append(_summing(MiddleStage(layer, pool, keep), inputs, pool, keep))
    return [*graphs, _last(model)]


def _first(model: Sumformer, pool: Pool, keep: bool) -> StageGraph:
    column = model.config.input
    tokens = torch.zeros(TOKENS, column.width) if column.kind == "vector" else _ids(column.low)
    inputs = {column.name: tokens, **_block_inputs()}
    return _summing(FirstStage(model.embed, pool, keep), inputs, pool, keep)


def _summing(
    module: nn.Module, inputs: dict[str, Tensor], pool: Pool, keep_hidden: bool
) -> StageGraph:
    outputs = ("contribution", "next_hidden") if keep_hidden else ("contribution",)
    return StageGraph(module, inputs, outputs, pool.latent_dim)


def _last(model: Sumformer) -> StageGraph:
    pool, name = model.pools()[-1], (model.config.head.name,)
    if isinstance(model.head, SumHead):
        inputs = _summary_inputs(pool)
        return StageGraph(SequenceOutput(model.head), inputs, name, None)
    layer = model.layers[-1]
    assert isinstance(layer, SumLayer)
    module = TokenOutput(layer, model.head)
    return StageGraph(module, _readout_inputs(layer, pool), name, None)


def _ids(low: int) -> Tensor:
    return torch.full((TOKENS,), low, dtype=torch.int64)


def _block_inputs() -> dict[str, Tensor]:
    rows = torch.zeros(BLOCKS, BLOCK, dtype=torch.int64)
    return {"rows": rows, "sizes": torch.ones(BLOCKS, 1)}


def _summary_inputs(pool: Pool) -> dict[str, Tensor]:
    return {
        "summary": torch.zeros(SEQUENCES, pool.latent_dim),
        "count": torch.ones(SEQUENCES, 2),
    }


def _readout_inputs(layer: SumLayer, pool: Pool) -> dict[str, Tensor]:
    hidden = torch.zeros(TOKENS, layer.from_token.in_features)
    owner = torch.zeros(TOKENS, dtype=torch.int64)
    return {"hidden": hidden, **_summary_inputs(pool), "owner": owner}
