"""Multi-layer perceptron, with its last linear map kept apart from the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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
