"""The token-wise networks of a compiled Sumformer, between its attention layers.

Tokens become [1 | h | phi(h) | 0] (Sumformer, eq. 22 and 42); attention puts Sigma into the next
slot; then a network does psi and phi again for the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p
from typing import Literal

import torch
from torch import Tensor, nn

from models import config
from models.compile.affine import Network, chain, identity, linear, of, side_by_side
from models.layers.sumformer import SumformerLayer
from models.model import Block, Model
from models.pools import SumPool
from models.signature import Signature

Slot = Literal["one", "token", "phi", "sum", "read", "mark"]
Into = Literal["transformer", "linformer", "performer", "sparse"]


class CompileError(ValueError):
    """A model that the construction does not cover; the message says why."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Places in a compiled token: [1 | h | phi(h) | Sigma], and for a star [.. | relayed | mark].

    ``mark`` is 1 in the relay and 0 elsewhere; it comes from a learned position.
    """

    token: int
    latent: int
    star: bool

    @property
    def width(self) -> int:
        """Of the whole token."""
        return 1 + self.token + (2 + self.star) * self.latent + self.star

    def take(self, slot: Slot, size: int) -> Tensor:
        """(size, width): picks the first ``size`` places of a slot; ``read`` is what psi reads."""
        starts = {
            "one": 0,
            "token": 1,
            "phi": 1 + self.token,
            "sum": 1 + self.token + self.latent,
            "read": 1 + self.token + (1 + self.star) * self.latent,
            "mark": self.width - 1,
        }
        matrix = torch.zeros(size, self.width, dtype=torch.float64)
        places = torch.arange(size)
        matrix[places, starts[slot] + places] = 1
        return matrix


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled model as token-wise networks between attention layers.

    ``embed`` is the first token; ``between`` is added to the token after each attention layer but
    the last; ``hidden`` gives the last hidden token of the Sumformer, for the heads. ``factors``
    scale the values of each attention layer.
    """

    slots: Slots
    embed: Network
    between: tuple[Network, ...]
    hidden: Network
    factors: tuple[float, ...]


def plan(model: Model, into: Into, length: int | None) -> Plan:
    """Every token-wise network of the compiled model; CompileError says what is not covered."""
    layers = [_layer_of(block) for block in model.blocks]
    pools = [_pool_of(layer) for layer in layers]
    _check(model, pools, into, length)
    widths = model.config.hidden_widths()
    slots = Slots(max(widths), max(pool.latent_dim for pool in pools), into == "sparse")
    column = linear(torch.eye(slots.width, dtype=torch.float64)[: widths[0]])
    hidden = [
        _psi(layer, block.residual, width, slots, length)
        for layer, block, width in zip(layers, model.config.blocks, widths, strict=False)
    ]
    later = (
        _difference(_lift(net, pool, width, slots), slots)
        for net, pool, width in zip(hidden, pools[1:], widths[1:], strict=False)
    )
    return Plan(
        slots=slots,
        embed=_lift(column, pools[0], widths[0], slots),
        between=tuple(later),
        hidden=hidden[-1],
        factors=tuple(_factor(pool, into, length) for pool in pools),
    )


def _psi(
    layer: SumformerLayer, residual: bool, width: int, slots: Slots, length: int | None
) -> Network:
    """Compiled token -> the layer's output: psi(h, Sigma), plus h where residual."""
    pool, shared = _pool_of(layer), layer.from_summary.weight.double()
    token = layer.from_token.weight.double() @ slots.take("token", width)
    summary = shared[:, : pool.latent_dim] @ slots.take("read", pool.latent_dim)
    bias = layer.from_summary.bias.double()
    if pool.count:
        assert length is not None, "checked before"
        bias = bias + shared[:, -1] * log1p(length)
    psi = (*linear(token + summary, bias), *of(layer.tail))
    if not residual:
        return psi
    both = side_by_side([psi, identity(slots.take("token", width), len(psi))])
    one = torch.eye(width, dtype=torch.float64)
    return chain(both, linear(torch.cat([one, one], dim=1)))


def _lift(hidden: Network, pool: SumPool, width: int, slots: Slots) -> Network:
    """A network for h -> one for the whole compiled token [1 | h | phi(h) | 0 (| mark)]."""
    parts = [hidden]
    if slots.star:
        parts.append(identity(slots.take("mark", 1), len(hidden)))
    kept = torch.eye(width + slots.star, dtype=torch.float64)
    phi = chain(linear(kept[:width]), of(pool.phi))
    both = chain(side_by_side(parts), side_by_side([phi, identity(kept, len(phi))]))
    placed = [slots.take("phi", pool.latent_dim), slots.take("token", width)]
    placed += [slots.take("mark", 1)] if slots.star else []
    return chain(both, linear(torch.cat(placed).T, slots.take("one", 1)[0]))


def _difference(token: Network, slots: Slots) -> Network:
    """What a residual block must add to put a new token in the old one's place."""
    one = torch.eye(slots.width, dtype=torch.float64)
    both = side_by_side([token, identity(one, len(token))])
    return chain(both, linear(torch.cat([one, -one], dim=1)))


def _factor(pool: SumPool, into: Into, length: int | None) -> float:
    """What makes the pool's feature of what attention gives: a mean, or Linformer's plain sum.

    The paper's Linformer has F = 1/k and n I for the values, which is off by n/k; F = 1, k = 1 and
    I is exact for every n.
    """
    sums = into == "linformer"
    if pool.mean == (not sums):
        return 1.0
    assert length is not None, "checked before"
    return 1 / length if sums else float(length)


def _layer_of(block: nn.Module) -> SumformerLayer:
    """The Sumformer layer of a plain block; CompileError if it is anything else."""
    assert isinstance(block, Block)
    if not isinstance(block.mixing, SumformerLayer):
        raise CompileError(f"only sumformer layers compile, not {type(block.mixing).__name__}")
    if block.feed_forward is not None or isinstance(block.norm, nn.LayerNorm):
        raise CompileError("blocks with a norm or a feed-forward do not compile")
    return block.mixing


def _pool_of(layer: SumformerLayer) -> SumPool:
    """Its sum; CompileError if phi is no MLP or its values are not summed."""
    pool = layer.pool
    if not isinstance(pool, SumPool):
        raise CompileError(f"only sums of MLPs compile, not {type(pool).__name__}")
    return pool


def _check_length(length: int, shape: Signature) -> None:
    if not max(1, shape.min_length) <= length <= (shape.max_length or length):
        raise CompileError(f"length {length} is not one that the model allows, or is not positive")


def _check(model: Model, pools: list[SumPool], into: Into, length: int | None) -> None:
    own, shape = model.config, model.config.signature
    if not pools:
        raise CompileError("there is no layer to compile: a pooled model has no mixing")
    if own.embedding.mlp is not None or own.embedding.position or shape.context or own.final_norm:
        raise CompileError(
            "embeddings with an MLP, positions, context or a final norm do not compile"
        )
    for head in own.heads:
        if isinstance(head, config.SequenceHead) and head.pool.kind not in ("sum", "max"):
            raise CompileError(f"per-sequence heads compile with sum or max, not {head.pool.kind}")
    if length is not None:
        _check_length(length, shape)
    elif any(pool.count for pool in pools):
        raise CompileError("length: log n is read and must enter the weights as a constant")
    elif any(pool.mean == (into == "linformer") for pool in pools):
        have = "sums" if into == "linformer" else "averages"
        raise CompileError(f"length: {into} attention {have}, so n must enter the weights")
    elif into in ("linformer", "sparse") and shape.max_length is None:
        raise CompileError(f"length: a {into} network needs a longest sequence")
