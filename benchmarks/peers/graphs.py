"""The reference model as graphs that any server can run, with the very weights that we serve.

`alone` and `padded` are the model as it is written (psi split, as ours); `packed` is what someone
who knows its algebra would run: sums by blocks, phi's last linear map after the sum.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.baselines import OneAtATime, Padded, layer_of, to_graph
from benchmarks.graph import FusedBlocks
from benchmarks.reference import checkpoint
from service.pack import BLOCK

GRAPHS = Path("build/peers/models")
NAMES = ("alone", "padded", "packed")


def write() -> list[Path]:
    """All three, unless they are there."""
    paths = [GRAPHS / f"{name}.onnx" for name in NAMES]
    if not all(path.exists() for path in paths):
        GRAPHS.mkdir(parents=True, exist_ok=True)
        for path, graph in zip(paths, _graphs(), strict=True):
            path.write_bytes(graph)
    return paths


def _graphs() -> list[bytes]:
    layer = layer_of(checkpoint("reference").model)
    tokens, sequences, blocks = {0: "tokens"}, {0: "sequences"}, {0: "blocks"}
    batch = {0: "batch", 1: "length"}
    owned = [torch.zeros(7, 8), torch.zeros(7, dtype=torch.int64), torch.ones(3, 1)]
    blocked = [*owned, torch.zeros(5, BLOCK, dtype=torch.int64), torch.ones(3, 5)]
    sizes = [tokens, tokens, sequences, blocks, {0: "sequences", 1: "blocks"}]
    wanted: list[tuple[nn.Module, Sequence[Tensor], list[dict[int, str]]]] = [
        (OneAtATime(layer, deferred=False), [torch.zeros(7, 8)], [tokens]),
        (Padded(layer, deferred=False), [torch.zeros(3, 7, 8), torch.ones(3, 7, 1)], [batch] * 2),
        (FusedBlocks(layer), blocked, sizes),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [to_graph(*one) for one in wanted]
