"""Cuts a model into stages, one ONNX graph each, that meet where its tokens meet.

    columns -> hidden, contributions | hidden, summary -> ... | hidden, summary -> output
    columns -> hidden, q, k, v | q, k, v -> read | hidden, read -> ... -> output

The parts are the model's own modules. What differs from the torch forward is only what they sum
over (`export.segments`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from export.segments import Blocks, Sequences
from models.heads import SequenceHead, TokenHead
from models.layers.attention import ExactAttention
from models.layers.layer import SummaryLayer
from models.model import Block, Model
from models.summary import Merge, Segments, Summary
from service.names import CONTEXT, NEXT, OUTPUT, PART, SUMMARY

Values = dict[str, Tensor]


class Stage(nn.Module):
    """Named tensors -> named tensors; `export.onnx_graph` turns it into a graph of these names."""

    def compute(self, given: Mapping[str, Tensor]) -> Values:
        """What the stage yields of what it is given."""
        raise NotImplementedError


class TokenStage(Stage):
    """What happens to tokens between two meetings, from the end of one block to the next."""

    def __init__(self, model: Model, number: int) -> None:
        super().__init__()
        self.model, self.number = model, number
        self.last = number == len(model.blocks)

    def compute(self, given: Mapping[str, Tensor]) -> Values:
        """columns, or hidden and what was read or summed up -> the same of the next, or outputs."""
        hidden = self._enter(given)
        if self.last:
            return self._answer(self.model.final_norm(hidden), given)
        block = _block(self.model, self.number)
        if isinstance(block.mixing, ExactAttention):
            names = (NEXT + "query", NEXT + "key", NEXT + "value")
            projected = block.mixing.project(block.norm(hidden), given["position"])
            return {NEXT + "hidden": hidden, **dict(zip(names, projected, strict=True))}
        part = block.contribution(hidden, cast("Segments", Blocks(given)))
        return {NEXT + "hidden": hidden, **_parts(_name(self.number), part)}

    def _enter(self, given: Mapping[str, Tensor]) -> Tensor:
        """Hidden tokens after the block before, or of the columns."""
        sequences = Sequences(given)
        if self.number == 0:
            context = _context(self.model, given)
            embedded: Tensor = self.model.embed(sequences, context)
            return embedded
        block, hidden = _block(self.model, self.number - 1), given["hidden"]
        if isinstance(block.mixing, ExactAttention):
            return block.after(hidden, block.mixing.heads.merged(given["read"]))
        summary = _summary(_name(self.number - 1), given)
        return block.readout(hidden, summary, cast("Segments", sequences))

    def _answer(self, hidden: Tensor, given: Mapping[str, Tensor]) -> Values:
        found: Values = {}
        for name, head in _heads(self.model):
            if isinstance(head, TokenHead):
                found[OUTPUT + name] = head(hidden)
            else:
                found |= _parts(
                    _pooled(name), head.contribution(hidden, cast("Segments", Blocks(given)))
                )
        return found

    def merges(self) -> dict[str, Merge]:
        """How the summaries that the stage contributes to merge, by name."""
        if self.last:
            pooled = [(n, h) for n, h in _heads(self.model) if isinstance(h, SequenceHead)]
            return {_pooled(name): head.pool.merge for name, head in pooled}
        mixing = _block(self.model, self.number).mixing
        return {_name(self.number): mixing.merge} if isinstance(mixing, SummaryLayer) else {}


class AttentionStage(Stage):
    """Attention of sequences of one (padded) length: (B, n, H, w) three times -> the same."""

    def __init__(self, layer: ExactAttention) -> None:
        super().__init__()
        self.layer = layer.open()

    def compute(self, given: Mapping[str, Tensor]) -> Values:
        """query, key, value, and length (B,) where sequences are padded -> read."""
        valid = None
        if not self.layer.unpadded:
            valid = torch.arange(given["key"].shape[1]) < given["length"][:, None]
        read = self.layer.attend(given["query"], given["key"], given["value"], valid)
        return {NEXT + "read": read}


class SequenceStage(Stage):
    """The heads that read only summaries, and the context."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def compute(self, given: Mapping[str, Tensor]) -> Values:
        """summaries, count, context -> outputs per sequence."""
        context = _context(self.model, given)
        return {
            OUTPUT + name: head.readout(_summary(_pooled(name), given), given["count"], context)
            for name, head in _heads(self.model)
            if isinstance(head, SequenceHead)
        }


def cut(model: Model) -> Iterator[Stage]:
    """The stages of a model, in the order in which they run."""
    for number in range(len(model.blocks)):
        yield TokenStage(model, number)
        mixing = _block(model, number).mixing
        if isinstance(mixing, ExactAttention):
            yield AttentionStage(mixing)
    yield TokenStage(model, len(model.blocks))
    if any(isinstance(head, SequenceHead) for head in model.heads):
        yield SequenceStage(model)


def _heads(model: Model) -> list[tuple[str, TokenHead | SequenceHead]]:
    names = [output.name for output in model.config.signature.outputs]
    return [
        (n, cast("TokenHead | SequenceHead", h)) for n, h in zip(names, model.heads, strict=True)
    ]


def _block(model: Model, number: int) -> Block:
    return cast("Block", model.blocks[number])


def _name(number: int) -> str:
    """The name of a block's summary."""
    return f"block.{number}"


def _pooled(name: str) -> str:
    """The name of the summary that an output's head reads."""
    return f"head.{name}"


def _parts(name: str, summary: Summary) -> Values:
    return {f"{PART}{name}:{field}": rows for field, rows in summary.items()}


def _summary(name: str, given: Mapping[str, Tensor]) -> Summary:
    prefix = f"{SUMMARY}{name}:"
    return {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}


def _context(model: Model, given: Mapping[str, Tensor]) -> Tensor | None:
    if model.context is None:
        return None
    context: Tensor = model.context(
        {k.removeprefix(CONTEXT): v for k, v in given.items() if k.startswith(CONTEXT)}
    )
    return context
