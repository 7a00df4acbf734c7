"""What others do with the same weights: pad to the longest, or run sequences one at a time.

Both are single fused graphs with the same session options as ours. psi is split, as in ours. With
``deferred`` they also take phi's last linear map after the sum, as ours does: then only packing
is compared. Without it they are the model as Definition 3.1 writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.onnx_graph import OPSET
from models.layers.sumformer import SumformerLayer
from models.model import Block, Model
from models.pools import SumPool
from service.graph import session_options
from service.pack import Array
from service.runtime import onnxruntime


class Padded(nn.Module):
    """x (B, L, width), mask (B, L, 1) -> (B, L, width')."""

    def __init__(self, layer: SumformerLayer, deferred: bool) -> None:
        super().__init__()
        self.layer, self.deferred = layer, deferred

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum over the true tokens, then psi over all of them."""
        pool, count = pool_of(self.layer), mask.sum(1)
        if self.deferred:
            summary = pool.finish((pool.terms(x) * mask).sum(1), count)
        else:
            summary = (pool.phi(x) * mask).sum(1)
        shared = self.layer.from_summary(pool.features({"sum": summary}, count))
        out: Tensor = self.layer.tail(self.layer.from_token(x) + shared[:, None])
        return out


class OneAtATime(nn.Module):
    """x (n, width) -> (n, width')."""

    def __init__(self, layer: SumformerLayer, deferred: bool) -> None:
        super().__init__()
        self.layer, self.deferred = layer, deferred

    def forward(self, x: Tensor) -> Tensor:
        """One sequence, its sum, and psi."""
        pool, count = pool_of(self.layer), torch.ones_like(x[:, :1]).sum(0, keepdim=True)
        if self.deferred:
            summary = pool.finish(pool.terms(x).sum(0, keepdim=True), count)
        else:
            summary = pool.phi(x).sum(0, keepdim=True)
        shared = self.layer.from_summary(pool.features({"sum": summary}, count))
        out: Tensor = self.layer.tail(self.layer.from_token(x) + shared)
        return out


def to_graph(module: nn.Module, examples: Sequence[Tensor], dynamic: list[dict[int, str]]) -> bytes:
    """Export a baseline, weights included."""
    program = torch.onnx.export(
        module.eval(),
        tuple(examples),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=tuple(dynamic),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    graph: bytes = program.model_proto.SerializeToString()
    return graph


def open_graph(module: nn.Module, examples: Sequence[Tensor], dynamic: list[dict[int, str]]) -> Any:
    """Export a baseline and open it with the options that we serve with."""
    graph = to_graph(module, examples, dynamic)
    return onnxruntime().InferenceSession(
        graph, session_options(), providers=["CPUExecutionProvider"]
    )


def layer_of(model: Model) -> SumformerLayer:
    """The layer of a one-layer Sumformer."""
    block = model.blocks[0]
    assert isinstance(block, Block)
    assert isinstance(block.mixing, SumformerLayer)
    return block.mixing


def pool_of(layer: SumformerLayer) -> SumPool:
    """Its phi and sum."""
    assert isinstance(layer.pool, SumPool)
    return layer.pool


def open_padded(model: Model, deferred: bool) -> Any:
    """The padded baseline of a one-layer model."""
    layer = layer_of(model)
    examples = (torch.zeros(3, 7, layer.from_token.in_features), torch.ones(3, 7, 1))
    dynamic = [{0: "batch", 1: "length"}, {0: "batch", 1: "length"}]
    return open_graph(Padded(layer, deferred), examples, dynamic)


def open_one_at_a_time(model: Model, deferred: bool) -> Any:
    """The one-at-a-time baseline of a one-layer model."""
    layer = layer_of(model)
    examples = (torch.zeros(7, layer.from_token.in_features),)
    return open_graph(OneAtATime(layer, deferred), examples, [{0: "length"}])


def run_padded(session: Any, group: Sequence[Array]) -> list[Array]:
    """Pad a group to its longest, run it, and cut the padding off again."""
    x = np.zeros((len(group), max(map(len, group)), group[0].shape[1]), np.float32)
    mask = np.zeros((*x.shape[:2], 1), np.float32)
    for i, sequence in enumerate(group):
        x[i, : len(sequence)] = sequence
        mask[i, : len(sequence)] = 1
    names = [i.name for i in session.get_inputs()]
    out = session.run(None, dict(zip(names, (x, mask), strict=True)))[0]
    return [rows[: len(s)] for rows, s in zip(out, group, strict=True)]


def run_one_at_a_time(session: Any, group: Sequence[Array]) -> list[Array]:
    """Run every sequence by itself."""
    name = session.get_inputs()[0].name
    return [session.run(None, {name: sequence})[0] for sequence in group]
