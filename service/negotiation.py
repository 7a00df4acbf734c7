"""What a client accepts, of what there is: Accept and Accept-Encoding, with their weights."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache


def preferred(header: str, offered: Collection[str]) -> str | None:
    """Of what is offered, that with the largest weight, the first named of equals; or None."""
    return _preferred(header, tuple(offered)) if header else None


@lru_cache(256)  # clients say the same with every request
def _preferred(header: str, offered: tuple[str, ...]) -> str | None:
    weights: dict[str, float] = {}
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name in offered:
            weights[name] = _weight(parameters)
    best = max(weights, key=lambda name: weights[name], default=None)
    return best if best is not None and weights[best] > 0 else None


def _weight(parameters: list[str]) -> float:
    """That of q=..., 1 where there is none that is a number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
