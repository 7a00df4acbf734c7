"""Pools as plain values: how a sequence becomes one row of features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from models.signature import Strict, Widths


class SumPool(Strict):
    """phi, an MLP, and its sum over a sequence (Sumformer, Definition 3.1).

    ``sum`` grows with the length n; ``mean`` does not, and ``count`` then appends log(1 + n) so
    that the length is not lost.
    """

    kind: Literal["sum"] = "sum"
    phi: Widths = ()
    latent_dim: PositiveInt
    aggregation: Literal["sum", "mean"] = "sum"
    count: bool = False


class PolynomialPool(Strict):
    """phi(x) = all monomials of degree 1..``degree`` (the continuous proof of Theorem 4.1)."""

    kind: Literal["polynomial"] = "polynomial"
    degree: PositiveInt
    aggregation: Literal["sum", "mean"] = "sum"
    count: bool = False


class MaxPool(Strict):
    """The largest of each of phi's values over a sequence (PointNet)."""

    kind: Literal["max"] = "max"
    phi: Widths = ()
    latent_dim: PositiveInt
    count: bool = False


class AttentionPool(Strict):
    """Softmax attention of ``seeds`` learned queries over a sequence: PMA (Set Transformer, 3.2).

    ``mix`` lets the seeds attend to each other afterwards (the paper's SAB in the decoder).
    """

    kind: Literal["attention"] = "attention"
    seeds: PositiveInt = 1
    heads: PositiveInt = 4
    mix: bool = False
    count: bool = False


Pool = Annotated[SumPool | PolynomialPool | MaxPool | AttentionPool, Field(discriminator="kind")]
