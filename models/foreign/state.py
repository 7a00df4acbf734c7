"""Reading other packages' state_dicts: what both Linformer's and Performer's have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import Block, Embedding, ModelConfig, TokenHead
from models.signature import IdsColumn, Output, Signature, VectorColumn

State = dict[str, Tensor]


class ForeignError(Exception):
    """A checkpoint of another package that cannot be read; says what and why."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A model of ours: what it is made of, and its weights."""

    config: ModelConfig
    state: State


def under(state: Mapping[str, Tensor], prefix: str) -> State:
    """The part of a state_dict under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def prefixed(state: Mapping[str, Tensor], prefix: str) -> State:
    """A state_dict under a prefix."""
    return {prefix + name: values for name, values in state.items()}


def blocks(state: Mapping[str, Tensor]) -> list[tuple[State, State]]:
    """(attention, feed-forward) of each block of a sequential net, wrappers included."""
    layers = {int(name.split(".")[2]) for name in state if name.startswith("net.layers.")}
    if not layers:
        raise ForeignError("the state_dict has no net.layers: of a reversible net, or of no net")
    return [
        (under(state, f"net.layers.{i}.0."), under(state, f"net.layers.{i}.1."))
        for i in sorted(layers)
    ]


def attention(
    old: Mapping[str, Tensor],
    heads: int,
    width: int,
    rotary: bool = False,
    gain: Tensor | float = 1.0,
) -> State:
    """to_q, to_k, to_v, to_out -> heads.*; one head of keys and values is copied to all.

    ``gain`` multiplies what comes out. Missing biases of to_out are zeros.
    """
    new: State = {}
    for theirs, ours in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
        source = theirs if f"{theirs}.weight" in old else "to_k"  # shared keys and values
        for what in ("weight", "bias"):
            if f"{source}.{what}" not in old:
                continue
            rows = old[f"{source}.{what}"]
            if len(rows) == width != heads * width:
                rows = rows.repeat(heads, *[1] * (rows.dim() - 1))
            turned = rotary and ours != "value"
            new[f"heads.{ours}.{what}"] = rows[halves(heads, width)] if turned else rows
    weight = old["to_out.weight"]
    new["heads.out.weight"] = weight * gain
    new["heads.out.bias"] = old.get("to_out.bias", weight.new_zeros(len(weight))) * gain
    return new


def halves(heads: int, width: int) -> Tensor:
    """Where rotary pairs (2i, 2i + 1) of each head go: to i and i + width / 2, as ours are."""
    one = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])
    return torch.cat([one + head * width for head in range(heads)])


def feed_forward(old: Mapping[str, Tensor], gated: bool, gain: Tensor | float = 1.0) -> State:
    """w1, w2 -> feed_forward.*"""
    first = "first" if gated else "body.0"
    return {
        f"feed_forward.{first}.weight": old["w1.weight"],
        f"feed_forward.{first}.bias": old["w1.bias"],
        "feed_forward.last.weight": old["w2.weight"] * gain,
        "feed_forward.last.bias": old["w2.bias"] * gain,
    }


def of_vectors(
    architecture: str, dim: int, longest: int | None, blocks: tuple[Block, ...], weights: State
) -> Adopted:
    """A model without an embedding or a head of its own: tokens are hidden tokens, as they are."""
    shape = Signature(
        columns=(VectorColumn(width=dim),),
        outputs=(Output(per="token", width=dim),),
        max_length=longest,
    )
    state = {
        "embed.columns.columns.0.mean": torch.zeros(dim),
        "embed.columns.columns.0.std": torch.ones(dim),
    }
    made = ModelConfig(
        architecture=architecture,
        signature=shape,
        embedding=Embedding(standardise=False),
        blocks=blocks,
        heads=(TokenHead(),),
    )
    return Adopted(made, state | weights)


def tokens(count: int, longest: int) -> Signature:
    """A language model: ids in, logits over ids out."""
    return Signature(
        columns=(IdsColumn(high=count - 1),),
        outputs=(Output(per="token", width=count, kind="classification"),),
        max_length=longest,
    )
