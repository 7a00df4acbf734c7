"""What a model is made of, as plain values: read strictly from a checkpoint's config.json.

Every class is frozen and refuses unknown keys, so that a checkpoint written by a newer version is
an error and never a silently different model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Widths = tuple[PositiveInt, ...]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Strict(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VectorInput(Strict):
    """A column of float vectors, shape (n, width); standardised inside the model."""

    kind: Literal["vector"] = "vector"
    name: Name = "x"
    width: PositiveInt


class IdsInput(Strict):
    """A column of token ids, shape (n,), each in ``low..high`` (both included)."""

    kind: Literal["ids"] = "ids"
    name: Name = "ids"
    low: int = 0
    high: int

    @model_validator(mode="after")
    def _ordered(self) -> IdsInput:
        if self.high < self.low:
            raise ValueError(f"input range is empty: low {self.low} is above high {self.high}")
        return self


class PoolConfig(Strict):
    """phi and how its values are pooled over a sequence (Sumformer, Definition 3.1).

    ``sum`` grows with the length n; ``mean`` does not, and ``count`` then appends log(1 + n) so
    that the length is not lost.
    """

    phi: Widths
    latent_dim: PositiveInt
    aggregation: Literal["sum", "mean"] = "sum"
    count: bool = False


class LayerConfig(Strict):
    """One Sumformer layer: x_i -> psi(x_i, Sigma), plus x_i itself where ``residual``."""

    pool: PoolConfig
    psi: Widths
    width: PositiveInt
    residual: bool = False


class TokenHead(Strict):
    """One output row per token: the last layer's rows, through an MLP when ``hidden`` is given."""

    per: Literal["token"] = "token"
    name: Name = "y"
    width: PositiveInt
    hidden: Widths | None = None


class SequenceHead(Strict):
    """One output row per sequence: rho(sum phi(h_i), n). ``rho`` empty means a linear rho."""

    per: Literal["sequence"] = "sequence"
    name: Name = "y"
    width: PositiveInt
    pool: PoolConfig
    rho: Widths = ()


class SumformerConfig(Strict):
    """A stack of Sumformer layers between an input column and one head.

    ``embedding`` is the width of the hidden tokens; without it the layers see the standardised
    vectors themselves, as in Definition 3.1.
    """

    architecture: Literal["sumformer"] = "sumformer"
    input: Annotated[VectorInput | IdsInput, Field(discriminator="kind")]
    embedding: PositiveInt | None = None
    layers: tuple[LayerConfig, ...] = ()
    head: Annotated[TokenHead | SequenceHead, Field(discriminator="per")]
    activation: Literal["gelu", "relu"] = "gelu"
    min_length: int = Field(default=1, ge=0)
    max_length: PositiveInt | None = None

    @model_validator(mode="after")
    def _widths_meet(self) -> SumformerConfig:
        if self.input.kind == "ids" and self.embedding is None:
            raise ValueError("embedding: token ids need an embedding width")
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"max_length {self.max_length} is below min_length {self.min_length}")
        widths = self.hidden_widths()
        for i, layer in enumerate(self.layers):
            if layer.residual and layer.width != widths[i]:
                raise ValueError(
                    f"layers.{i}: a residual layer keeps the width, {widths[i]} != {layer.width}"
                )
        if isinstance(self.head, TokenHead):
            if not self.layers:
                raise ValueError("layers: a per-token output needs at least one layer")
            if self.head.hidden is None and self.head.width != widths[-1]:
                raise ValueError(
                    "head: without hidden widths the output is the last layer's, "
                    f"so its width must be {widths[-1]}"
                )
        return self

    def hidden_widths(self) -> list[int]:
        """Width of the hidden tokens before each layer and after the last."""
        first = self.embedding
        if first is None:
            first = self.input.width if isinstance(self.input, VectorInput) else 0
        return [first, *(layer.width for layer in self.layers)]
