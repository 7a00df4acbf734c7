"""The `linformer` package (0.2 and later): LinformerSelfAttention, Linformer, LinformerLM.

Its projections are ours transposed; shorter sequences use their beginning, as ours do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import PositiveInt
from torch import Tensor

from models import config
from models.foreign.state import (
    Adopted,
    ForeignError,
    State,
    attention,
    blocks,
    feed_forward,
    of_vectors,
    prefixed,
    tokens,
    under,
)
from models.signature import Strict


class Arguments(Strict):
    """What the constructor was told; defaults are the package's."""

    dim: PositiveInt
    seq_len: PositiveInt
    depth: PositiveInt = 1
    k: PositiveInt = 256
    heads: PositiveInt = 8
    dim_head: PositiveInt | None = None
    one_kv_head: bool = False
    share_kv: bool = False
    reversible: bool = False
    dropout: float = 0.0
    num_tokens: PositiveInt | None = None

    @property
    def width(self) -> int:
        """Of one head."""
        return self.dim_head or self.dim // self.heads


def adopt(kind: str, state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> Adopted:
    """Weights of a class of the package -> a model of ours with the same outputs."""
    own = Arguments.model_validate(arguments)
    if own.reversible:
        raise ForeignError("reversible: two streams of hidden tokens, where ours have one")
    if kind == "LinformerSelfAttention":
        return _alone(own, state)
    return _words(own, state) if kind == "LinformerLM" else _net(own, state)


def _layer(own: Arguments) -> config.LinformerLayer:
    return config.LinformerLayer(
        heads=own.heads,
        head_width=own.width,
        projection_dim=own.k,
        sharing="key-value" if own.share_kv else "headwise",
    )


def _mixing(own: Arguments, old: Mapping[str, Tensor]) -> State:
    values = "proj_k" if own.share_kv else "proj_v"
    projections = {
        "project_keys": old["proj_k"].T.contiguous(),
        "project_values": old[values].T.contiguous(),
    }
    return attention(old, own.heads, own.width) | projections


def _alone(own: Arguments, state: Mapping[str, Tensor]) -> Adopted:
    block = config.Block(mixing=_layer(own), residual=False)
    weights = prefixed(_mixing(own, state), "blocks.0.mixing.")
    return of_vectors("linformer", own.dim, own.seq_len, (block,), weights)


def _net(own: Arguments, state: Mapping[str, Tensor]) -> Adopted:
    return of_vectors("linformer", own.dim, own.seq_len, _blocks(own), _body(own, state))


def _words(own: Arguments, state: Mapping[str, Tensor]) -> Adopted:
    if own.num_tokens is None:
        raise ForeignError("num_tokens: a LinformerLM was told how many")
    made = config.ModelConfig(
        architecture="linformer",
        signature=tokens(own.num_tokens, own.seq_len),
        embedding=config.Embedding(width=own.dim, position="learned"),
        blocks=_blocks(own),
        heads=(config.TokenHead(hidden=()),),
    )
    new = {
        "embed.columns.columns.0.table.weight": state["token_emb.weight"],
        "embed.places.weight": state["pos_emb.weight"],
        "heads.0.mlp.last.weight": state["to_logits.weight"],
        "heads.0.mlp.last.bias": state["to_logits.bias"],
    }
    return Adopted(made, new | _body(own, under(state, "linformer.")))


def _blocks(own: Arguments) -> tuple[config.Block, ...]:
    block = config.Block(mixing=_layer(own), norm=True, feed_forward=(4 * own.dim,))
    return (block,) * own.depth


def _body(own: Arguments, state: Mapping[str, Tensor]) -> State:
    new: State = {}
    for i, (attend, feed) in enumerate(blocks(state)):
        parts = (
            prefixed(under(attend, "norm."), "norm.")
            | prefixed(_mixing(own, under(attend, "fn.")), "mixing.")
            | prefixed(under(feed, "norm."), "feed_norm.")
            | feed_forward(under(feed, "fn."), gated=False)
        )
        new |= prefixed(parts, f"blocks.{i}.")
    return new
