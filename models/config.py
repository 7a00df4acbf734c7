"""What a model is made of, as plain values: read strictly from a checkpoint's config.json.

Every architecture is one frame: columns -> embedding -> blocks -> heads, one head per output. What
differs is the mixing layer in the blocks and the pool in the heads.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from models.layer_config import Attention as Attention
from models.layer_config import EfficientLayer as EfficientLayer
from models.layer_config import FavorLayer as FavorLayer
from models.layer_config import InducedLayer as InducedLayer
from models.layer_config import LinformerLayer as LinformerLayer
from models.layer_config import Mixing as Mixing
from models.layer_config import PerformerLayer as PerformerLayer
from models.layer_config import PiecewiseLayer as PiecewiseLayer
from models.layer_config import SparseLayer as SparseLayer
from models.layer_config import SumformerLayer as SumformerLayer
from models.layer_config import TransformerLayer as TransformerLayer
from models.pool_config import AttentionPool as AttentionPool
from models.pool_config import MaxPool as MaxPool
from models.pool_config import PolynomialPool as PolynomialPool
from models.pool_config import Pool as Pool
from models.pool_config import SumPool as SumPool
from models.signature import Output, Signature, Strict, VectorColumn, Widths


class Block(Strict):
    """h -> mix(h), then h -> MLP(h) where ``feed_forward`` is given.

    ``residual`` adds each of them to its input, ``norm`` puts a LayerNorm before each, or, as
    "scale", a division by the token's own length; ``gated`` makes the MLP a gated one.
    """

    mixing: Mixing
    residual: bool = True
    norm: bool | Literal["scale"] = False
    feed_forward: Widths | None = None
    gated: bool = False

    @model_validator(mode="after")
    def _one_gate(self) -> Block:
        if self.gated and len(self.feed_forward or ()) != 1:
            raise ValueError("gated: needs a feed_forward of one hidden width")
        return self


class Embedding(Strict):
    """Columns -> hidden tokens of ``width``: a sum of one linear map each, then an MLP if ``mlp``.

    Without a width the hidden tokens are the standardised vectors themselves, as in Definition 3.1.
    ``position`` counts from each sequence's start; learned ones reach to the signature's
    max_length. Without ``standardise`` columns are taken as they are.
    """

    width: PositiveInt | None = None
    mlp: Widths | None = None
    position: Literal["sinusoidal", "learned"] | None = None
    standardise: bool = True


class TokenHead(Strict):
    """An output row per token: the hidden token, through an MLP when ``hidden`` is given."""

    kind: Literal["token"] = "token"
    hidden: Widths | None = None


class SequenceHead(Strict):
    """An output row per sequence: rho(summary, n). ``rho`` empty means a linear rho."""

    kind: Literal["sequence"] = "sequence"
    pool: Pool
    rho: Widths = ()


Head = Annotated[TokenHead | SequenceHead, Field(discriminator="kind")]


class ModelConfig(Strict):
    """The whole model. ``architecture`` is the name it goes by; the rest is what it is.

    ``final_norm`` puts a LayerNorm after the last block, which pre-norm stacks need.
    """

    architecture: str
    signature: Signature
    embedding: Embedding = Embedding()
    blocks: tuple[Block, ...] = ()
    heads: tuple[Head, ...]
    activation: Literal["gelu", "relu"] = "gelu"
    final_norm: bool = False

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        self._embedding_fits()
        widths = self.hidden_widths()
        for i, (block, width) in enumerate(zip(self.blocks, widths, strict=False)):
            if block.residual and widths[i + 1] != width:
                raise ValueError(
                    f"blocks.{i}: a residual block keeps the width, {width} != {widths[i + 1]}"
                )
        if self.bounded() and self.signature.max_length is None:
            raise ValueError("max_length: Linformer layers and learned positions need one")
        if len(self.heads) != len(self.signature.outputs):
            raise ValueError(f"{len(self.heads)} heads for {len(self.signature.outputs)} outputs")
        for head, output in zip(self.heads, self.signature.outputs, strict=True):
            self._head_fits(head, output)
        return self

    def _embedding_fits(self) -> None:
        columns, one = self.signature.columns, self.embedding
        plain = len(columns) == 1 and isinstance(columns[0], VectorColumn)
        if one.width is None and (not plain or one.mlp or one.position or self.signature.context):
            raise ValueError("embedding: only one plain vector column may go without a width")

    def _head_fits(self, head: Head, output: Output) -> None:
        if head.kind != output.per:
            raise ValueError(f"output {output.name!r} is per {output.per}, its head {head.kind}")
        last = self.hidden_widths()[-1]
        if isinstance(head, TokenHead) and head.hidden is None and output.width != last:
            raise ValueError(
                f"output {output.name!r}: without hidden widths the output is the last hidden "
                f"token, so its width must be {last}"
            )

    def bounded(self) -> bool:
        """Whether some weight belongs to a place in the sequence, so that lengths are limited."""
        places = self.embedding.position == "learned"
        return places or any(isinstance(b.mixing, LinformerLayer) for b in self.blocks)

    def hidden_widths(self) -> list[int]:
        """Width of the hidden tokens before each block and after the last."""
        column = self.signature.columns[0]
        first = self.embedding.width or (column.width if isinstance(column, VectorColumn) else 0)
        widths = [first]
        for block in self.blocks:
            mixing = block.mixing
            if isinstance(mixing, SumformerLayer | PiecewiseLayer):
                widths.append(mixing.width)
            else:
                widths.append(widths[-1])
        return widths
