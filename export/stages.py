"""Cuts a model into token-wise stages, one ONNX graph each, meeting at the summaries.

    tokens -> hidden, contribution | hidden, summary -> hidden, contribution | ... -> output

The parts are the model's own modules. What differs from the torch forward is only what they sum
over: blocks of tokens (`Blocks`), and sequences in `Pack`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from models.heads import SequenceHead
from models.layers.sumformer import SumformerLayer
from models.model import Block, Model
from models.pools import SumPool
from models.signature import Column, IdsColumn, VectorColumn
from models.summary import Segments
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


class Blocks:
    """Blocks of tokens as segments: what a contribution is summed over.

    rows (B, BLOCK) are the tokens of each block, T where there is none; counts (B, 1) their number.
    A zero row is appended for the places that hold no token, so that tokens are never padded where
    the work is, in the matrix products.
    """

    def __init__(self, rows: Tensor, sizes: Tensor) -> None:
        self.rows, self.counts = rows, sizes

    def sum(self, terms: Tensor) -> Tensor:
        """terms (T, k) -> (B, k)."""
        padded = torch.cat([terms, torch.zeros(1, terms.shape[1], dtype=terms.dtype)])
        return embedding(self.rows, padded).sum(dim=1)


class Owners:
    """Whole sequences as segments: what a readout reads. counts (N, 2), owner (T,)."""

    def __init__(self, count: Tensor, owner: Tensor) -> None:
        self.counts, self._owner = count, owner

    def spread(self, rows: Tensor) -> Tensor:
        """rows (N, k) -> (T, k)."""
        return rows.index_select(0, self._owner)


def _segments(part: Blocks | Owners) -> Segments:
    """`export.support` lets through only what asks no more of segments than these offer."""
    return cast("Segments", part)


class FirstStage(nn.Module):
    """Input column -> contribution to the first summary, and hidden tokens if they are read."""

    def __init__(self, model: Model, summing: Block | SequenceHead, keep_hidden: bool) -> None:
        super().__init__()
        self.embed, self.summing, self.keep_hidden = model.embed, summing, keep_hidden

    def forward(self, tokens: Tensor, rows: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """-> contribution (B, latent_dim), hidden (T, width)."""
        columns = self.embed.columns
        hidden = self.embed.mlp(columns({columns.names[0]: tokens}))
        contribution = self.summing.contribution(hidden, _segments(Blocks(rows, sizes)))["sum"]
        return (contribution, hidden) if self.keep_hidden else (contribution,)


class Readout(nn.Module):
    """A block's readout, with the last norm where it is the last block."""

    def __init__(self, model: Model, number: int) -> None:
        super().__init__()
        self.block = model.blocks[number]
        last = number == len(model.blocks) - 1
        self.norm = model.final_norm if last else nn.Identity()

    def forward(self, hidden: Tensor, summary: Tensor, count: Tensor, owner: Tensor) -> Tensor:
        """-> hidden (T, width')."""
        assert isinstance(self.block, Block)
        after = self.block.readout(hidden, {"sum": summary}, _segments(Owners(count, owner)))
        out: Tensor = self.norm(after)
        return out


class MiddleStage(nn.Module):
    """A block's readout -> contribution to the next summary, and hidden tokens if they are read."""

    def __init__(self, readout: Readout, summing: Block | SequenceHead, keep_hidden: bool) -> None:
        super().__init__()
        self.readout, self.summing, self.keep_hidden = readout, summing, keep_hidden

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
        after = self.readout(hidden, summary, count, owner)
        contribution = self.summing.contribution(after, _segments(Blocks(rows, sizes)))["sum"]
        return (contribution, after) if self.keep_hidden else (contribution,)


class TokenOutput(nn.Module):
    """The last block's readout and the per-token head."""

    def __init__(self, readout: Readout, head: nn.Module) -> None:
        super().__init__()
        self.readout, self.head = readout, head

    def forward(self, hidden: Tensor, summary: Tensor, count: Tensor, owner: Tensor) -> Tensor:
        """-> (T, width of the output)."""
        out: Tensor = self.head(self.readout(hidden, summary, count, owner))
        return out


class SequenceOutput(nn.Module):
    """The head that reads only the last summary."""

    def __init__(self, head: SequenceHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, summary: Tensor, count: Tensor) -> Tensor:
        """-> (N, width of the output)."""
        return self.head.readout({"sum": summary}, count, None)


def cut(model: Model) -> list[StageGraph]:
    """The stages of a model that `unsupported` allows; summaries are folded between them."""
    summing, head = _summing(model), model.heads[0]
    keeps = [not isinstance(part, SequenceHead) for part in summing]
    graphs = [_first(model, summing[0], keeps[0])]
    for i, (before, after) in enumerate(pairwise(summing)):
        module = MiddleStage(Readout(model, i), after, keeps[i + 1])
        inputs = {**_readout_inputs(before), **_block_inputs()}
        graphs.append(_graph(module, inputs, after, keeps[i + 1]))
    name = (model.config.signature.outputs[0].name,)
    if isinstance(head, SequenceHead):
        return [*graphs, StageGraph(SequenceOutput(head), _summary_inputs(head), name, None)]
    output = TokenOutput(Readout(model, len(model.blocks) - 1), head)
    return [*graphs, StageGraph(output, _readout_inputs(summing[-1]), name, None)]


def latent_dims(model: Model) -> tuple[int, ...]:
    """The width of every summary, in order."""
    return tuple(_pool(part).latent_dim for part in _summing(model))


def _summing(model: Model) -> list[Block | SequenceHead]:
    """What takes a sum, in order: every block, and the head where it is per sequence."""
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    return [*blocks, *(head for head in model.heads if isinstance(head, SequenceHead))]


def _pool(part: Block | SequenceHead) -> SumPool:
    owner = part.mixing if isinstance(part, Block) else part
    assert isinstance(owner, SumformerLayer | SequenceHead)
    assert isinstance(owner.pool, SumPool)
    return owner.pool


def _first(model: Model, part: Block | SequenceHead, keep: bool) -> StageGraph:
    column = model.config.signature.columns[0]
    tokens = torch.zeros(TOKENS, column.width) if isinstance(column, VectorColumn) else _ids(column)
    inputs = {column.name: tokens, **_block_inputs()}
    return _graph(FirstStage(model, part, keep), inputs, part, keep)


def _graph(
    module: nn.Module, inputs: dict[str, Tensor], part: Block | SequenceHead, keep_hidden: bool
) -> StageGraph:
    outputs = ("contribution", "next_hidden") if keep_hidden else ("contribution",)
    return StageGraph(module, inputs, outputs, _pool(part).latent_dim)


def _ids(column: Column) -> Tensor:
    assert isinstance(column, IdsColumn)
    return torch.full((TOKENS,), column.low, dtype=torch.int64)


def _block_inputs() -> dict[str, Tensor]:
    rows = torch.zeros(BLOCKS, BLOCK, dtype=torch.int64)
    return {"rows": rows, "sizes": torch.ones(BLOCKS, 1)}


def _summary_inputs(part: Block | SequenceHead) -> dict[str, Tensor]:
    return {
        "summary": torch.zeros(SEQUENCES, _pool(part).latent_dim),
        "count": torch.ones(SEQUENCES, 2),
    }


def _readout_inputs(part: Block | SequenceHead) -> dict[str, Tensor]:
    assert isinstance(part, Block)
    assert isinstance(part.mixing, SumformerLayer)
    hidden = torch.zeros(TOKENS, part.mixing.from_token.in_features)
    owner = torch.zeros(TOKENS, dtype=torch.int64)
    return {"hidden": hidden, **_summary_inputs(part), "owner": owner}
