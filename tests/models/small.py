"""Small untrained models of every architecture, in float64, and packs for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.architectures import ARCHITECTURES, Size, build
from models.layers.piecewise import PiecewiseLayer
from models.model import Block, Model
from models.pack import Pack
from models.signature import (
    IdsColumn,
    NumericColumn,
    Output,
    Signature,
    TimeColumn,
    VectorColumn,
)

TABLE = "sumformer-piecewise"
NAMES = tuple(ARCHITECTURES)
EVERY_KIND = (
    NumericColumn(name="amount", log=True, missing="flag", clip=3),
    IdsColumn(name="kind", high=4, unknown=True),
    TimeColumn(name="when", shortest=0.1, longest=100),
    VectorColumn(name="place", width=2),
)


def signature(name: str) -> Signature:
    """Points in [0, 1]^2, one output per token and one per sequence; the table has only the one."""
    per_token = Output(name="a", per="token", width=3)
    per_sequence = Output(name="b", per="sequence", width=2)
    return Signature(
        columns=(VectorColumn(width=2),),
        outputs=(per_token,) if name == TABLE else (per_token, per_sequence),
        min_length=0,
        max_length=longest(name),
    )


def longest(name: str) -> int:
    """The max_length of a small model: tables are small."""
    return 3 if name == TABLE else 120


def model(name: str, positional: bool = False) -> Model:
    """A seeded model of that architecture."""
    torch.manual_seed(0)
    size = Size(width=16, blocks=2, heads=2, features=8, points=3, cells=3, positional=positional)
    made = Model(build(name, signature(name), size)).double().eval()
    draw_biases(made)
    draw_tables(made)
    return made


def draw_biases(model: Model) -> None:
    """New models' biases are zero, and one that got lost would not be missed."""
    for name, weights in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weights, std=0.3)


def draw_tables(model: Model) -> None:
    """So are the tables of piecewise layers."""
    for block in model.blocks:
        if isinstance(block, Block) and isinstance(block.mixing, PiecewiseLayer):
            torch.nn.init.normal_(block.mixing.table)


def pack(lengths: Sequence[int], seed: int = 0) -> Pack:
    """Random points in float64."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.rand(sum(lengths), 2, generator=generator, dtype=torch.float64)
    return of(tokens, lengths)


def of(tokens: Tensor, lengths: Sequence[int]) -> Pack:
    """These points, in sequences of these lengths."""
    counts = torch.tensor(list(lengths), dtype=torch.int64)
    return Pack({"x": tokens}, counts, dtype=torch.float64)
