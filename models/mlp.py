"""Multi-layer perceptron, with its last linear map kept apart from the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}


def keep_scale(module: nn.Module) -> None:
    """He initialisation: rows keep their scale from layer to layer, as nothing normalises them.

    torch's default shrinks them threefold a layer, and a mean over tokens hides what is left.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)


class GatedMLP(nn.Module):
    """last(act(a) * b) with [a, b] = first(x): rows (T, width) -> (T, width)."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, rows: Tensor) -> Tensor:
        """(T, width) -> (T, width)."""
        opened, gate = self.first(rows).chunk(2, dim=-1)
        out: Tensor = self.last(self.activation(opened) * gate)
        return out


class ScaleNorm(nn.Module):
    """x / |x| * g (Nguyen and Salazar 2019): rows of one length, without centring."""

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, rows: Tensor) -> Tensor:
        """(T, width) -> (T, width)."""
        length = rows.square().sum(dim=-1, keepdim=True).sqrt()
        out: Tensor = rows / length.clamp(min=1e-5) * self.g
        return out


class MLP(nn.Module):
    """linear, activation, ..., linear over rows: (T, width_in) -> (T, width_out).

    ``body`` is everything before the last linear map ``last``. They are apart because a sum over
    tokens commutes with ``last`` and not with ``body`` (see `models.pools`).
    """

    def __init__(
        self, width_in: int, hidden: Sequence[int], width_out: int, activation: str
    ) -> None:
        super().__init__()
        widths = [width_in, *hidden]
        steps: list[nn.Module] = []
        for a, b in pairwise(widths):
            steps += [nn.Linear(a, b), ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*steps)
        keep_scale(self.body)
        self.last = nn.Linear(widths[-1], width_out)

    def forward(self, rows: Tensor) -> Tensor:
        """(T, width_in) -> (T, width_out)."""
        out: Tensor = self.last(self.body(rows))
        return out
