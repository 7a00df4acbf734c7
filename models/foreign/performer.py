"""The `performer-pytorch` package (1.1.1 and later): SelfAttention, Performer, PerformerLM.

Its softmax kernel adds an epsilon under the keys' maximum, which is `layers.favor`; generalized
attention with ReLU is our own kernel; without a projection it is `layers.efficient`. Positions are
taken as a table, as the package's sinusoids are rounded to float32.
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
    halves,
    of_vectors,
    prefixed,
    tokens,
    under,
)
from models.signature import Strict

REFUSED = {
    "causal": "a token would read a sum of its own, and a summary is of a whole sequence",
    "cross_attend": "two sequences, where ours are one",
    "shift_tokens": "features of neighbouring tokens, which no summary holds",
    "local_attn_heads": "windows of exact attention beside FAVOR+ in one layer",
    "local_heads": "windows of exact attention beside FAVOR+ in one layer",
    "reversible": "two streams of hidden tokens, where ours have one",
}


class Arguments(Strict):
    """What the constructor was told; defaults are the package's."""

    dim: PositiveInt
    heads: PositiveInt = 8
    depth: PositiveInt = 1
    dim_head: PositiveInt | None = 64
    num_tokens: PositiveInt | None = None
    max_seq_len: PositiveInt | None = None
    ff_mult: PositiveInt = 4
    ff_glu: bool = False
    ff_chunks: PositiveInt = 1
    nb_features: PositiveInt | None = None
    feature_redraw_interval: PositiveInt | None = 1000
    generalized_attention: bool = False
    no_projection: bool = False
    use_scalenorm: bool = False
    use_rezero: bool = False
    tie_embed: bool = False
    rotary_position_emb: bool = True
    axial_position_emb: bool = False
    axial_position_shape: tuple[PositiveInt, PositiveInt] | None = None
    qkv_bias: bool | None = None
    attn_out_bias: bool | None = None
    auto_check_redraw: bool = True
    local_window_size: PositiveInt = 256
    emb_dropout: float = 0.0
    ff_dropout: float = 0.0
    attn_dropout: float = 0.0
    dropout: float = 0.0

    @property
    def width(self) -> int:
        """Of one head."""
        return self.dim_head or self.dim // self.heads


def adopt(kind: str, state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> Adopted:
    """Weights of a class of the package -> a model of ours with the same outputs."""
    known = dict(arguments)
    for name, why in REFUSED.items():
        if known.pop(name, False):
            raise ForeignError(f"{name}: {why}")
    if known.pop("kernel_fn", None) is not None:
        raise ForeignError("kernel_fn: only the package's own, ReLU, is known")
    own = Arguments.model_validate(known)
    rotary = kind == "PerformerLM" and own.rotary_position_emb
    reader = _Reader(own, rotary, any(name.endswith("to_q.bias") for name in state))
    if kind == "SelfAttention":
        return reader.alone(state)
    return reader.words(state) if kind == "PerformerLM" else reader.net(state)


class _Reader:
    """Reads one checkpoint; ``bias`` is of queries, keys and values."""

    def __init__(self, own: Arguments, rotary: bool, bias: bool) -> None:
        self.own, self.rotary, self.bias = own, rotary, bias

    def alone(self, state: Mapping[str, Tensor]) -> Adopted:
        """SelfAttention."""
        block = config.Block(mixing=self._layer(state), residual=False)
        weights = prefixed(self._mixing(state, 1.0), "blocks.0.mixing.")
        return of_vectors("performer", self.own.dim, None, (block,), weights)

    def net(self, state: Mapping[str, Tensor]) -> Adopted:
        """Performer."""
        return of_vectors("performer", self.own.dim, None, self._blocks(state), self._body(state))

    def words(self, state: Mapping[str, Tensor]) -> Adopted:
        """PerformerLM."""
        own = self.own
        if own.num_tokens is None or own.max_seq_len is None:
            raise ForeignError("num_tokens, max_seq_len: a PerformerLM was told both")
        made = config.ModelConfig(
            architecture="performer",
            signature=tokens(own.num_tokens, own.max_seq_len),
            embedding=config.Embedding(width=own.dim, position="learned"),
            blocks=self._blocks(state),
            heads=(config.TokenHead(hidden=()),),
            final_norm=True,
        )
        table = state["token_emb.weight"]
        out = table if own.tie_embed else state["to_out.weight"]
        new = {
            "embed.columns.columns.0.table.weight": table,
            "embed.places.weight": self._places(state),
            "final_norm.weight": state["norm.weight"],
            "final_norm.bias": state["norm.bias"],
            "heads.0.mlp.last.weight": out,
            "heads.0.mlp.last.bias": state.get("to_out.bias", out.new_zeros(len(out))),
        }
        return Adopted(made, new | self._body(under(state, "performer.")))

    def _places(self, state: Mapping[str, Tensor]) -> Tensor:
        """(max_seq_len, dim): what the package adds at every place."""
        if self.rotary:
            return state["pos_emb.emb"]
        if not self.own.axial_position_emb:
            return state["pos_emb.emb.weight"]
        axes = [values for name, values in state.items() if name.startswith("pos_emb.weights")]
        if not axes:
            raise KeyError("pos_emb.weights")
        whole: Tensor = sum(axes[1:], axes[0])
        return whole.reshape(-1, self.own.dim)[: self.own.max_seq_len]

    def _layer(self, state: Mapping[str, Tensor]) -> config.Mixing:
        own = self.own
        shared = {
            "heads": own.heads,
            "head_width": own.width,
            "rotary": self.rotary,
            "bias": self.bias,
        }
        if own.no_projection:
            return config.EfficientLayer(**shared)
        features = len(_omega(state))
        if own.generalized_attention:
            return config.PerformerLayer(
                **shared, num_features=features, features="relu", redraw_every=None
            )
        return config.FavorLayer(**shared, num_features=features)

    def _mixing(self, old: Mapping[str, Tensor], gain: Tensor | float) -> State:
        new = attention(old, self.own.heads, self.own.width, self.rotary, gain)
        if self.own.no_projection:
            return new
        omega = _omega(old)
        return new | {"omega": omega[:, halves(1, self.own.width)] if self.rotary else omega}

    def _blocks(self, state: Mapping[str, Tensor]) -> tuple[config.Block, ...]:
        own = self.own
        plain = not own.use_rezero
        block = config.Block(
            mixing=self._layer(state),
            norm="scale" if own.use_scalenorm else plain,
            feed_forward=(own.ff_mult * own.dim,),
            gated=own.ff_glu,
        )
        return (block,) * own.depth

    def _body(self, state: Mapping[str, Tensor]) -> State:
        new: State = {}
        for i, (attend, feed) in enumerate(blocks(state)):
            parts = (
                prefixed(self._norm(attend), "norm.")
                | prefixed(self._mixing(under(attend, "fn."), self._gain(attend)), "mixing.")
                | prefixed(self._norm(feed), "feed_norm.")
                | feed_forward(under(feed, "fn.fn."), self.own.ff_glu, self._gain(feed))
            )
            new |= prefixed(parts, f"blocks.{i}.")
        return new

    def _norm(self, old: Mapping[str, Tensor]) -> State:
        return {"g": old["g"]} if self.own.use_scalenorm else under(old, "norm.")

    def _gain(self, old: Mapping[str, Tensor]) -> Tensor | float:
        """ReZero's factor, which goes into what comes out."""
        return old["g"] if self.own.use_rezero and not self.own.use_scalenorm else 1.0


def _omega(state: Mapping[str, Tensor]) -> Tensor:
    found = [values for name, values in state.items() if name.endswith("projection_matrix")]
    if not found:
        raise KeyError("projection_matrix")
    return found[0]
