"""Which models can be exported, and why others cannot: said before any work is done."""

from __future__ import annotations

from models.layers.attention import ExactAttention
from models.model import Block, Model

MOST_SCORES = 2**28  # of one sequence, over all heads: 1 GB, of which attention holds some copies


def unsupported(model: Model) -> str | None:
    """Why a model cannot be exported, or None."""
    longest = model.config.signature.max_length
    for i, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        layer = block.mixing
        if not isinstance(layer, ExactAttention):
            continue
        kind = model.config.blocks[i].mixing.kind
        if longest is None:
            return (
                f"blocks.{i}: {kind} attention needs all keys of a sequence in memory, so the "
                "model needs a max_length: --max-length N"
            )
        places = layer.places(longest)
        if places is not None and layer.heads.heads * longest * places > MOST_SCORES:
            return (
                f"blocks.{i}: {kind} attention over max_length {longest} tokens holds "
                f"{layer.heads.heads} x {longest} x {places} scores, more than {MOST_SCORES}"
            )
    return None
