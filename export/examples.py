"""Examples of what stages read, to trace them on: small, and no two sizes that vary alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from export.stages import AttentionStage, Stage, Values
from models.signature import Column, IdsColumn, Signature, TimeColumn, VectorColumn
from service.names import COLUMN, CONTEXT, FIRST, NEXT, PART, SUMMARY
from service.pack import Blocks
from service.stages import OF_A_SLICE

LENGTHS = (33, 3, 20, 1, 2)  # 59 tokens, 5 sequences, 8 blocks and an empty one
SEQUENCES, QUERIES = 3, 19  # of attention


def of_columns(shape: Signature) -> Values:
    """What the first stage may read."""
    lengths = np.minimum(LENGTHS, shape.max_length or max(LENGTHS))
    part = next(iter(Blocks.of(lengths).slices(int(lengths.sum()))))
    given = {name: torch.from_numpy(np.array(getattr(part, name))) for name in OF_A_SLICE}
    given["count"] = torch.ones(len(lengths), 2)
    given |= {COLUMN + c.name: _values(c, int(lengths.sum())) for c in shape.columns}
    times = [c for c in shape.columns if isinstance(c, TimeColumn)]
    given |= {FIRST + c.name: _values(c, len(lengths)) for c in times}
    return given | {CONTEXT + c.name: _values(c, len(lengths)) for c in shape.context}


def after(given: Mapping[str, Tensor], stage: Stage, found: Values) -> Values:
    """What the next stage may read, given what a stage found."""
    spent = (COLUMN, FIRST, SUMMARY, "query", "key", "value", "read")
    kept = {k: v for k, v in given.items() if not k.startswith(spent)}
    if isinstance(stage, AttentionStage):
        return kept | {"read": torch.zeros(len(kept["hidden"]), *found[NEXT + "read"].shape[2:])}
    kept.pop("hidden", None)
    sequences = len(kept["count"])
    for name, rows in found.items():
        if name.startswith(NEXT):
            kept[name.removeprefix(NEXT)] = rows
        elif name.startswith(PART):
            summary = SUMMARY + name.removeprefix(PART)
            kept[summary] = torch.zeros(sequences, *rows.shape[1:], dtype=rows.dtype)
    return kept


def of_attention(given: Mapping[str, Tensor], stage: AttentionStage) -> Values:
    """Sequences of one length, as an attention stage reads them.

    The exporter takes what holds of the example for granted: that a window fits into it, too.
    """
    heads, keys = given["query"].shape[1:], stage.layer.roomy
    queries = keys if stage.layer.unpadded else QUERIES
    made = {
        "query": torch.randn(SEQUENCES, queries, *heads),
        "key": torch.randn(SEQUENCES, keys, *heads),
        "value": torch.randn(SEQUENCES, keys, *heads),
    }
    return made if stage.layer.unpadded else made | {"length": torch.tensor([keys, 5, 1])}


def _values(column: Column, rows: int) -> Tensor:
    if isinstance(column, VectorColumn):
        return torch.randn(rows, column.width)
    if isinstance(column, IdsColumn):
        return torch.full((rows,), column.low)
    return torch.randn(rows, dtype=torch.float64 if isinstance(column, TimeColumn) else None)
