"""Mixing layers by name: the one registry. A new layer is one file, one config, one line here."""

from __future__ import annotations

from torch import nn

from models import config
from models.layers.efficient import EfficientLayer
from models.layers.favor import FavorLayer
from models.layers.isab import InducedLayer
from models.layers.layer import Frame, Layer
from models.layers.linformer import LinformerLayer
from models.layers.performer import PerformerLayer
from models.layers.piecewise import PiecewiseLayer
from models.layers.sparse import SparseLayer
from models.layers.sumformer import SumformerLayer
from models.layers.transformer import TransformerLayer

LAYERS: dict[str, type[Layer]] = {
    "sumformer": SumformerLayer,
    "piecewise": PiecewiseLayer,
    "transformer": TransformerLayer,
    "performer": PerformerLayer,
    "favor": FavorLayer,
    "efficient": EfficientLayer,
    "linformer": LinformerLayer,
    "sparse": SparseLayer,
    "isab": InducedLayer,
}


def build_layer(own: config.Mixing, frame: Frame, shared: nn.Parameter | None = None) -> Layer:
    """The layer that a configuration asks for; ``shared`` is the model's one Linformer E, if any.

    Raises ValueError saying why a layer cannot be.
    """
    if isinstance(own, config.LinformerLayer) and own.sharing == "layerwise":
        return LinformerLayer(own, frame, shared)
    return LAYERS[own.kind](own, frame)
