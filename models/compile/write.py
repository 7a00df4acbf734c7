"""Writes a compiled plan into a model of the architecture asked for: config, then weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models import config
from models.compile.affine import Network, chain, hidden_widths, of, write
from models.compile.plan import Into, Plan, Slot, Slots
from models.embedding import Columns, Ids
from models.heads import SequenceHead, TokenHead
from models.layers.attention import Projections
from models.layers.linformer import LinformerLayer
from models.mlp import MLP
from models.model import Block, Model
from models.pools import MaxPool, SumPool

SURE = 1000.0  # a lead of this in the scores makes a softmax exactly 1, in float64 too


@torch.no_grad()
def build(model: Model, plan: Plan, into: Into, length: int | None) -> Model:
    """The compiled model, in the dtype of the original."""
    heads = [_head_network(head, plan.hidden) for head in model.heads]
    made = Model(_config(model, plan, heads, into, length)).double().eval()
    _write_columns(made.embed.columns, model.embed.columns)
    assert isinstance(made.embed.mlp, MLP)
    write(plan.embed, made.embed.mlp)
    if plan.slots.star:
        nn.init.zeros_(made.embed.places.weight)
        made.embed.places.weight[0] = plan.slots.take("mark", 1)[0]
    for block, (factor, relayed) in zip(made.blocks, _turns(plan), strict=True):
        assert isinstance(block, Block)
        _write_attention(block, plan.slots, factor, relayed)
    fed = made.blocks[_every(plan) - 1 :: _every(plan)]
    for block, network in zip(fed, plan.between, strict=False):
        assert isinstance(block.feed_forward, MLP)
        write(network, block.feed_forward)
    for own, head, network in zip(made.heads, model.heads, heads, strict=True):
        _write_head(own, head, network)
    return made.to(next(model.parameters()).dtype)


def _every(plan: Plan) -> int:
    """Attention layers per Sumformer layer."""
    return 2 if plan.slots.star else 1


def _turns(plan: Plan) -> list[tuple[float, bool]]:
    """For each attention layer the factor of its values, and whether it reads the relay."""
    turns = []
    for factor in plan.factors:
        turns.append((factor, False))
        if plan.slots.star:
            turns.append((1.0, True))
    return turns


def _config(
    model: Model, plan: Plan, heads: Sequence[Network], into: Into, length: int | None
) -> config.ModelConfig:
    own, slots = model.config, plan.slots
    shape = own.signature
    if length is not None:
        shape = shape.model_copy(update={"min_length": length, "max_length": length})
    return config.ModelConfig(
        architecture=into,
        signature=shape,
        embedding=config.Embedding(
            width=slots.width,
            mlp=hidden_widths(plan.embed),
            position="learned" if slots.star else None,
            standardise=own.embedding.standardise,
        ),
        blocks=tuple(_blocks(plan, into)),
        heads=tuple(_head(h, n) for h, n in zip(own.heads, heads, strict=True)),
        activation=own.activation,
    )


def _blocks(plan: Plan, into: Into) -> list[config.Block]:
    mixing = _mixing(into, plan.slots.latent)
    fed: list[config.Block] = []
    for i in range(len(plan.factors)):
        if plan.slots.star:
            fed.append(config.Block(mixing=mixing))
        last = i == len(plan.between)
        widths = None if last else hidden_widths(plan.between[i])
        fed.append(config.Block(mixing=mixing, feed_forward=widths))
    return fed


def _mixing(into: Into, width: int) -> config.Mixing:
    if into == "linformer":
        return config.LinformerLayer(
            heads=1, head_width=width, projection_dim=1, sharing="key-value"
        )
    if into == "performer":
        return config.PerformerLayer(heads=1, head_width=width, redraw_every=None)
    if into == "sparse":
        return config.SparseLayer(heads=1, head_width=width, pattern="star", reach=1)
    return config.TransformerLayer(heads=1, head_width=width)


def _head_network(head: nn.Module, hidden: Network) -> Network:
    """Compiled token -> what the head does token-wise: its output, or its phi."""
    if isinstance(head, SequenceHead):
        assert isinstance(head.pool, SumPool | MaxPool)
        return chain(hidden, of(head.pool.phi))
    assert isinstance(head, TokenHead)
    return hidden if isinstance(head.mlp, nn.Identity) else chain(hidden, of(head.mlp))


def _head(own: config.Head, network: Network) -> config.Head:
    widths = hidden_widths(network)
    if isinstance(own, config.TokenHead):
        return config.TokenHead(hidden=widths)
    return own.model_copy(update={"pool": own.pool.model_copy(update={"phi": widths})})


def _write_head(made: nn.Module, own: nn.Module, network: Network) -> None:
    if isinstance(made, SequenceHead):
        assert isinstance(made.pool, SumPool | MaxPool)
        assert isinstance(own, SequenceHead)
        write(network, made.pool.phi)
        made.rho.load_state_dict(own.rho.state_dict())
        return
    assert isinstance(made, TokenHead)
    assert isinstance(made.mlp, MLP)
    write(network, made.mlp)


def _write_columns(made: Columns, own: Columns) -> None:
    """The columns' own maps, into the first places of the wider token."""
    for new, old in zip(made.columns, own.columns, strict=True):
        if isinstance(old, Ids):
            assert isinstance(new, Ids)
            nn.init.zeros_(new.table.weight)
            new.table.weight[:, : old.width] = old.table.weight
        else:
            new.load_state_dict(old.state_dict())
    for to, old_map in zip(made.maps, own.maps, strict=True):
        if isinstance(to, nn.Linear):
            _write_map(to, old_map)


def _write_map(to: nn.Linear, old: nn.Module) -> None:
    nn.init.zeros_(to.weight)
    nn.init.zeros_(to.bias)
    if isinstance(old, nn.Linear):
        to.weight[: old.out_features], to.bias[: old.out_features] = old.weight, old.bias
    else:
        to.weight[: to.in_features] = torch.eye(to.in_features, dtype=to.weight.dtype)


def _write_attention(block: Block, slots: Slots, factor: float, relayed: bool) -> None:
    """Equal scores, phi -> Sigma; or all scores on the relay, its Sigma -> what psi reads."""
    heads = block.mixing.heads
    assert isinstance(heads, Projections)
    source: Slot = "sum" if relayed else "phi"
    target: Slot = "read" if relayed else "sum"
    for linear in (heads.query, heads.key, heads.out):
        nn.init.zeros_(linear.weight)
    assert heads.out.bias is not None
    nn.init.zeros_(heads.out.bias)
    heads.value.weight.copy_(factor * _take(slots, source))
    heads.out.weight.copy_(_take(slots, target).T)
    if relayed:
        heads.query.weight[0] = SURE * heads.head_width**0.5 * slots.take("one", 1)[0]
        heads.key.weight[0] = slots.take("mark", 1)[0]
    if isinstance(block.mixing, LinformerLayer):
        nn.init.ones_(block.mixing.project_keys)


def _take(slots: Slots, slot: Slot) -> Tensor:
    return slots.take(slot, slots.latent)
