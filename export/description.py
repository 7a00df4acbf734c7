"""What a checkpoint and its stages are, in the manifest's words."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from export import stages
from export.draw import usual
from export.stages import Values
from export.verification import torch_pack
from models import signature
from models.model import Model
from models.signature import Signature
from service import manifest
from service.names import NEXT, PART

LENGTH = 1024  # of the sequence whose work is counted


def columns(shape: Signature) -> tuple[manifest.Column, ...]:
    """What tokens are made of."""
    return tuple(_column(column) for column in shape.columns)


def _column(own: signature.Column) -> manifest.Column:
    if isinstance(own, signature.VectorColumn):
        return manifest.VectorColumn(name=own.name, width=own.width)
    if isinstance(own, signature.NumericColumn):
        return manifest.NumericColumn(name=own.name, missing=own.missing == "flag")
    if isinstance(own, signature.TimeColumn):
        return manifest.TimeColumn(name=own.name)
    return manifest.IdsColumn(
        name=own.name, low=own.low, high=own.high, unknown=own.unknown, labels=own.labels
    )


def context(shape: Signature) -> tuple[manifest.ContextColumn, ...]:
    """What belongs to a whole sequence."""
    found = (_column(column) for column in shape.context)
    return tuple(c for c in found if not isinstance(c, manifest.TimeColumn))


def outputs(shape: Signature) -> tuple[manifest.Output, ...]:
    """What is answered."""
    return tuple(
        manifest.Output(name=o.name, per=o.per, width=o.width, kind=o.kind, labels=o.labels)
        for o in shape.outputs
    )


def architecture(model: Model) -> manifest.Architecture:
    """For people."""
    return manifest.Architecture(
        name=model.config.architecture,
        parameters=sum(p.numel() for p in model.parameters()),
        layers=len(model.blocks),
    )


def flops_per_token(model: Model) -> int:
    """Nominal FLOPs of the checkpoint's own forward: products only, as torch counts them."""
    shape = model.config.signature
    n = min(LENGTH, shape.max_length or LENGTH)
    pack = torch_pack(usual(model, [n], np.random.default_rng(0)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pack)
    return int(counter.get_total_flops() / n)


def bytes_per_token(found: Values) -> int:
    """What a stage leaves for the next one, per token."""
    kept = [rows for name, rows in found.items() if name.startswith(NEXT)]
    return sum(rows[0].numel() * rows.element_size() for rows in kept)


def stage(own: stages.Stage, file: str, found: Values, longest: int | None) -> manifest.Stage:
    """One stage that was traced, with what it found then."""
    if isinstance(own, stages.TokenStage):
        summaries = tuple(_summary(n, merge, found) for n, merge in own.merges().items())
        return manifest.TokenStage(file=file, summaries=summaries)
    if isinstance(own, stages.AttentionStage):
        layer = own.layer
        return manifest.AttentionStage(
            file=file,
            heads=layer.heads.heads,
            unpadded=layer.unpadded,
            places=layer.places(longest or 1),
        )
    return manifest.SequenceStage(file=file)


def _summary(name: str, merge: manifest.Merge, found: Values) -> manifest.Summary:
    prefix = f"{PART}{name}:"
    fields = {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
    return manifest.Summary(
        name=name,
        merge=merge,
        fields={field: _field(rows) for field, rows in fields.items()},
    )


def _field(rows: Tensor) -> manifest.SummaryField:
    dtype: Literal["float32", "int64"] = "float32" if rows.is_floating_point() else "int64"
    return manifest.SummaryField(shape=tuple(rows.shape[1:]), dtype=dtype)
