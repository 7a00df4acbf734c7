"""Which models can be exported yet, and why others cannot: said before any work is done."""

from __future__ import annotations

from models import config
from models.signature import IdsColumn, Signature, VectorColumn


def unsupported(model: config.ModelConfig) -> str | None:
    """Why a model cannot be cut into stages yet, or None."""
    return _signature(model.signature) or _parts(model)


def _signature(shape: Signature) -> str | None:
    if len(shape.columns) > 1 or shape.context or len(shape.outputs) > 1:
        return "bundles have one column, no context and one output"
    column = shape.columns[0]
    if not isinstance(column, VectorColumn | IdsColumn):
        return f"column {column.name!r} is {column.kind}: bundles have vectors or ids"
    if isinstance(column, IdsColumn) and column.unknown:
        return f"column {column.name!r} allows unknown ids: bundles do not"
    return None


def _parts(model: config.ModelConfig) -> str | None:
    if model.embedding.position is not None:
        return "bundles have no positions"
    for i, block in enumerate(model.blocks):
        if not isinstance(block.mixing, config.SumformerLayer):
            return f"blocks.{i}: bundles have sumformer layers, not {block.mixing.kind}"
    pools = [
        block.mixing.pool
        for block in model.blocks
        if isinstance(block.mixing, config.SumformerLayer)
    ]
    pools += [head.pool for head in model.heads if isinstance(head, config.SequenceHead)]
    other = [pool.kind for pool in pools if not isinstance(pool, config.SumPool)]
    if other:
        return f"bundles have sum pools, not {other[0]}"
    return None if pools else "there is no layer and no pool: nothing to serve"
