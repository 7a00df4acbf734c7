"""Architectures by name: from what a task reads and answers to a whole model of that family.

One frame, one width and depth: what differs is the mixing layer and the pool. A task may have a
configuration of its own for an architecture; these are what everything else starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from models import config
from models.layers.piecewise import finest
from models.signature import Output, Signature, VectorColumn


@dataclass(frozen=True, slots=True)
class Size:
    """How large to build: hidden width, blocks, heads; what the task asks of pools and positions.

    ``aggregation`` is of sums; ``positional`` says that the order of tokens means something;
    ``reach`` is the pattern width of sparse layers (default: the root of max_length); ``cells``
    the side of the piecewise grid (default: the finest that works). ``position`` chooses between
    the two for orders that mean something; ``layer`` sets fields of the mixing layers' own
    configuration, such as ``rotary`` or a Linformer's ``sharing``.
    """

    width: PositiveInt = 64
    blocks: NonNegativeInt = 2
    heads: PositiveInt = 4
    aggregation: Literal["sum", "mean"] = "mean"
    positional: bool = False
    position: Literal["sinusoidal", "learned"] | None = None
    reach: PositiveInt | None = None
    features: PositiveInt = 32
    points: PositiveInt = 16
    cells: PositiveInt | None = None
    degree: PositiveInt = 3
    layer: Mapping[str, Any] = field(default_factory=dict)


Build = Callable[[Signature, Size], config.ModelConfig]


def _sum_pool(size: Size) -> config.SumPool:
    mean = size.aggregation == "mean"
    return config.SumPool(
        phi=(2 * size.width,),
        latent_dim=2 * size.width,
        aggregation=size.aggregation,
        count=mean,
    )


def _position(shape: Signature, size: Size) -> Literal["sinusoidal", "learned"] | None:
    if size.position is not None or not size.positional:
        return size.position
    short = shape.max_length is not None and shape.max_length <= 2048
    return "learned" if short else "sinusoidal"


def _heads(shape: Signature, size: Size, pool: config.Pool) -> tuple[config.Head, ...]:
    def head(output: Output) -> config.Head:
        if output.per == "token":
            return config.TokenHead(hidden=(size.width,))
        return config.SequenceHead(pool=pool, rho=(size.width,))

    return tuple(head(output) for output in shape.outputs)


def _model(
    name: str,
    shape: Signature,
    size: Size,
    blocks: tuple[config.Block, ...],
    pool: config.Pool | None = None,
    norm: bool = False,
) -> config.ModelConfig:
    return config.ModelConfig(
        architecture=name,
        signature=shape,
        embedding=config.Embedding(width=size.width, position=_position(shape, size)),
        blocks=blocks,
        heads=_heads(shape, size, pool or _sum_pool(size)),
        final_norm=norm,
    )


def _sumformer(shape: Signature, size: Size) -> config.ModelConfig:
    layer = config.SumformerLayer(pool=_sum_pool(size), psi=(2 * size.width,), width=size.width)
    return _model("sumformer", shape, size, (config.Block(mixing=layer),) * size.blocks)


def _deepsets(shape: Signature, size: Size) -> config.ModelConfig:
    """Equivariant layers lambda x_i + gamma mean(x) (DeepSets, Lemma 3), between activations."""
    pool = config.SumPool(latent_dim=size.width, aggregation="mean")
    layer = config.SumformerLayer(pool=pool, width=size.width)
    block = config.Block(mixing=layer, feed_forward=(size.width,))
    return _model("deepsets", shape, size, (block,) * size.blocks)


def _pointnet(shape: Signature, size: Size) -> config.ModelConfig:
    """Maxima of an MLP, concatenated to each point where outputs are per token (PointNet)."""
    pool = config.MaxPool(phi=(size.width,), latent_dim=2 * size.width)
    layer = config.SumformerLayer(pool=pool, psi=(2 * size.width,), width=size.width)
    return _model("pointnet", shape, size, (config.Block(mixing=layer),) * size.blocks, pool)


def _set_transformer(shape: Signature, size: Size) -> config.ModelConfig:
    layer = config.InducedLayer(heads=size.heads, points=size.points)
    blocks = (config.Block(mixing=layer, residual=False),) * size.blocks
    pool = config.AttentionPool(heads=size.heads, count=True)
    return _model("set_transformer", shape, size, blocks, pool)


def _attention(name: str, layer: Callable[[Signature, Size], config.Mixing]) -> Build:
    """A pre-norm Transformer stack around one kind of attention."""

    def build(shape: Signature, size: Size) -> config.ModelConfig:
        block = config.Block(mixing=layer(shape, size), norm=True, feed_forward=(2 * size.width,))
        return _model(name, shape, size, (block,) * size.blocks, norm=True)

    return build


Patterned = Literal["strided", "fixed", "star", "random", "window_global", "bigbird"]


def _sparse(pattern: Patterned) -> Build:
    def build(shape: Signature, size: Size) -> config.ModelConfig:
        reach = size.reach or max(2, isqrt(shape.max_length or 1024))
        blocks = tuple(
            config.Block(
                mixing=config.SparseLayer(
                    heads=size.heads, pattern=pattern, reach=reach, keys=reach, layer=i, seed=i
                ),
                norm=True,
                feed_forward=(2 * size.width,),
            )
            for i in range(size.blocks)
        )
        return _model(f"sparse-{pattern}", shape, size, blocks, norm=True)

    return build


def _polynomial(shape: Signature, size: Size) -> config.ModelConfig:
    """Monomials of the raw vectors, then MLPs only: one layer, as in the paper's experiments."""
    how, mean = size.aggregation, size.aggregation == "mean"
    pool = config.PolynomialPool(degree=size.degree, aggregation=how, count=mean)
    return _raw("sumformer-polynomial", shape, size, pool)


def _raw(name: str, shape: Signature, size: Size, pool: config.Pool) -> config.ModelConfig:
    _vectors_only(name, shape, size)
    hidden = (size.width,) * 3
    per_token = any(output.per == "token" for output in shape.outputs)
    layer = config.SumformerLayer(pool=pool, psi=hidden, width=size.width)
    heads = tuple(
        config.TokenHead(hidden=())
        if output.per == "token"
        else config.SequenceHead(pool=pool, rho=hidden)
        for output in shape.outputs
    )
    blocks = (config.Block(mixing=layer, residual=False),) if per_token else ()
    return config.ModelConfig(architecture=name, signature=shape, blocks=blocks, heads=heads)


def _vectors_only(name: str, shape: Signature, size: Size) -> VectorColumn:
    column = shape.columns[0]
    if len(shape.columns) != 1 or shape.context or not isinstance(column, VectorColumn):
        raise ValueError(f"{name}: needs exactly one vector column, and no context")
    if size.positional or size.position:
        raise ValueError(f"{name}: reads vectors as they are, so it cannot read positions")
    return column


def _piecewise(shape: Signature, size: Size) -> config.ModelConfig:
    """The discontinuous construction: a table, for tokens in [0, 1]^d and short sequences only."""
    output = shape.outputs[0]
    if shape.max_length is None or len(shape.outputs) > 1 or output.per != "token":
        raise ValueError("sumformer-piecewise: needs a max_length and one output per token")
    column = _vectors_only("sumformer-piecewise", shape, size)
    cells = size.cells or finest(shape.max_length, column.width)
    if size.cells is None and cells == 1:  # asked for, one cell is a constant, and may be wanted
        raise ValueError("sumformer-piecewise: such sequences allow no grid finer than one cell")
    layer = config.PiecewiseLayer(cells=cells, length=shape.max_length, width=output.width)
    return config.ModelConfig(
        architecture="sumformer-piecewise",
        signature=shape,
        embedding=config.Embedding(standardise=False),
        blocks=(config.Block(mixing=layer, residual=False),),
        heads=(config.TokenHead(),),
    )


ARCHITECTURES: dict[str, Build] = {
    "sumformer": _sumformer,
    "sumformer-polynomial": _polynomial,
    "sumformer-piecewise": _piecewise,
    "performer": _attention(
        "performer",
        lambda _, size: config.PerformerLayer(heads=size.heads, num_features=size.features),
    ),
    "performer-relu": _attention(
        "performer-relu",
        lambda _, size: config.PerformerLayer(
            heads=size.heads, num_features=size.features, features="relu"
        ),
    ),
    "linformer": _attention(
        "linformer",
        lambda _, size: config.LinformerLayer(heads=size.heads, projection_dim=size.features),
    ),
    "transformer": _attention(
        "transformer", lambda _, size: config.TransformerLayer(heads=size.heads)
    ),
    "sparse-strided": _sparse("strided"),
    "sparse-fixed": _sparse("fixed"),
    "sparse-star": _sparse("star"),
    "sparse-random": _sparse("random"),
    "sparse-window_global": _sparse("window_global"),
    "sparse-bigbird": _sparse("bigbird"),
    "deepsets": _deepsets,
    "pointnet": _pointnet,
    "set_transformer": _set_transformer,
}

BOUNDED = {"linformer", "sumformer-piecewise"}  # weights for every place: they need a max_length


def build(architecture: str, shape: Signature, size: Size) -> config.ModelConfig:
    """The configuration of an architecture for a signature.

    Raises ValueError when there is no such architecture or it cannot do what is asked.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"unknown architecture {architecture!r}; known: {known}")
    own = ARCHITECTURES[architecture](shape, size)
    if not size.layer:
        return own
    plain = own.model_dump()
    for block in plain["blocks"]:
        block["mixing"] |= size.layer
    return config.ModelConfig.model_validate(plain)
