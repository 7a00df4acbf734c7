"""Mixing layers as plain values: where the tokens of a sequence meet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from models.pool_config import Pool
from models.signature import Strict, Widths


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
    """Heads of ``head_width`` (default: width / heads); ``rotary`` turns q and k by position.

    ``bias`` is that of queries, keys and values.
    """

    heads: PositiveInt = 4
    head_width: PositiveInt | None = None
    rotary: bool = False
    bias: bool = False


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


class FavorLayer(Attention):
    """FAVOR+ as performer-pytorch computes it, with an ``epsilon`` under the keys' maximum."""

    kind: Literal["favor"] = "favor"
    num_features: PositiveInt = 64
    epsilon: PositiveFloat = 1e-4


class EfficientLayer(Attention):
    """Efficient Attention (Shen et al. 2018): keys softmax over tokens, queries over width."""

    kind: Literal["efficient"] = "efficient"


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
    | FavorLayer
    | EfficientLayer
    | LinformerLayer
    | SparseLayer
    | InducedLayer,
    Field(discriminator="kind"),
]
