"""What a model is made of, as plain values: read strictly from a checkpoint's config.json.

Every architecture is one frame: columns -> embedding -> blocks -> heads, one head per output. What
differs is the mixing layer in the blocks and the pool in the heads.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from models.pool_config import AttentionPool as AttentionPool
from models.pool_config import MaxPool as MaxPool
from models.pool_config import PolynomialPool as PolynomialPool
from models.pool_config import Pool as Pool
from models.pool_config import SumPool as SumPool
from models.signature import Output, Signature, Strict, VectorColumn, Widths


class SumformerLayer(Strict):
    """x_i -> psi(x_i, Sigma) with Sigma the pool's summary; ``width`` is that of psi's values."""

    kind: Literal["sumformer"] = "sumformer"
    pool: Pool
    psi: Widths = ()
    width: PositiveInt


class PiecewiseLayer(Strict):
    """The discontinuous construction of Theorem 4.1: d' = 1 and a table, on a grid of [0, 1]^d.

    ``cells`` per side; sequences of at most ``length`` tokens; ``width`` numbers per token.
    """

    kind: Literal["piecewise"] = "piecewise"
    cells: PositiveInt
    length: PositiveInt
    width: PositiveInt


class Attention(Strict):
    """Heads of ``head_width`` (default: width / heads); ``rotary`` turns q and k by position."""

    heads: PositiveInt = 4
    head_width: PositiveInt | None = None
    rotary: bool = False


class TransformerLayer(Attention):
    """Exact softmax attention of every token over its sequence."""

    kind: Literal["transformer"] = "transformer"


class PerformerLayer(Attention):
    """FAVOR+ (Performer): ``num_features`` positive random features of softmax, or of ReLU.

    They are drawn anew every ``redraw_every`` training steps and stay fixed in a checkpoint.
    """

    kind: Literal["performer"] = "performer"
    num_features: PositiveInt = 64
    features: Literal["softmax", "relu"] = "softmax"
    redraw_every: PositiveInt | None = 200


class LinformerLayer(Attention):
    """Keys and values projected along the sequence to ``projection_dim`` rows by learned E, F.

    Their width is the signature's max_length. Sharing as in section 4 of the Linformer paper: E and
    F per layer for all heads, E = F per layer, or one E for all layers.
    """

    kind: Literal["linformer"] = "linformer"
    projection_dim: PositiveInt = 64
    sharing: Literal["headwise", "key-value", "layerwise"] = "headwise"


class SparseLayer(Attention):
    """Exact softmax attention over the connections of a pattern (Yun et al. 2020).

    ``reach`` is the pattern's window or stride, ``globals`` and ``keys`` the number of tokens all
    read and of random keys per query, in the patterns that have them. ``layer`` counts sparse
    layers from 0: ``sequential`` takes the pattern's parts in turn by it. Small values need not be
    universal: `models.sparse.check` tells for a pattern and n.
    """

    kind: Literal["sparse"] = "sparse"
    pattern: Literal["strided", "fixed", "star", "random", "window_global", "bigbird"]
    reach: PositiveInt = 16
    globals: PositiveInt = 1
    keys: PositiveInt = 16
    configuration: Literal["union", "multihead", "sequential"] = "union"
    layer: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)


class InducedLayer(Strict):
    """ISAB (Set Transformer): ``points`` learned queries read the set, the set reads them."""

    kind: Literal["isab"] = "isab"
    heads: PositiveInt = 4
    points: PositiveInt = 16


Mixing = Annotated[
    SumformerLayer
    | PiecewiseLayer
    | TransformerLayer
    | PerformerLayer
    | LinformerLayer
    | SparseLayer
    | InducedLayer,
    Field(discriminator="kind"),
]


class Block(Strict):
    """h -> mix(h), then h -> MLP(h) where ``feed_forward`` is given.

    ``residual`` adds each of them to its input, ``norm`` puts a LayerNorm before each.
    """

    mixing: Mixing
    residual: bool = True
    norm: bool = False
    feed_forward: Widths | None = None


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
