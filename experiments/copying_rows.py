"""The rows of the copying experiment: patterns and configurations, what tokens see in them."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch

from models.sparse.check import check, matrix
from models.sparse.patterns import PATTERNS, Configuration, Pattern, Union, assign
from models.tasks.copying import LENGTH, SYMBOLS

HEADS, WINDOW, RANDOM = 4, 16, 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """A pattern and how heads share its parts, with Yun et al.'s accuracies (%) by depth."""

    pattern: Literal["strided", "fixed", "star", "random"]
    configuration: Configuration
    recalled: tuple[float, ...] = ()


# recalled, not read: the paper's table was not at hand, so these may be wrong
ROWS = {
    "dense": None,
    "strided union": Row("strided", "union", (0.82, 100, 100, 100)),
    "strided multihead": Row("strided", "multihead", (0.82, 100, 100, 100)),
    "strided sequential": Row("strided", "sequential", (0.80, 81.24, 100, 100)),
    "fixed union": Row("fixed", "union", (7.04, 69.26, 99.98, 100)),
    "fixed multihead": Row("fixed", "multihead", (0.76, 56.45, 99.08, 99.64)),
    "fixed sequential": Row("fixed", "sequential", (0.80, 96.01, 98.58, 100)),
    "star": Row("star", "union", (1.53, 29.70, 42.18, 83.57)),
    "random": Row("random", "union", (33.14, 63.41, 70.29, 95.49)),
}


def keys_for(sparsity: float) -> int:
    """Random keys per query for a sparsity: each misses a token with probability 1 - 1 / n.

    So does the token itself, which every query reads too.
    """
    return round(log(sparsity) / log(1 - 1 / LENGTH)) - 1


def _sparsity(pattern: Pattern) -> float:
    return 1 - float(matrix(pattern, LENGTH).float().mean())


def heads_of(row: Row, layer: int) -> list[tuple[Pattern, int]]:
    """What the heads of a layer read, each pattern with its number of heads."""
    make = PATTERNS[row.pattern]
    found = make(keys_for(RANDOM), layer) if row.pattern == "random" else make(WINDOW)
    return assign(found, row.configuration, HEADS, layer)


def layers(row: Row, depth: int) -> list[Pattern]:
    """What any head of each layer reads."""
    every = [heads_of(row, layer) for layer in range(depth)]
    return [Union(tuple(pattern for pattern, _ in heads)) for heads in every]


def sparsity(row: Row) -> float:
    """The share of the n^2 pairs that a head does not read, in %: mean over two layers' heads."""
    every = [own for layer in (0, 1) for own in heads_of(row, layer)]
    return 100 * sum(heads * _sparsity(pattern) for pattern, heads in every) / (2 * HEADS)


def reach(row: Row) -> int | None:
    """Layers after which every token depends on all."""
    return check(layers(row, 2 if row.configuration == "sequential" else 1), LENGTH).reach


def visible(row: Row, depth: int) -> float:
    """The share of answers whose symbol's token is among all that the answer depends on, in %."""
    seen = torch.eye(LENGTH)
    for layer in layers(row, depth):
        seen = ((matrix(layer, LENGTH).float() @ seen) > 0).float()
    half = LENGTH // 2
    return 100 * float(seen.diagonal(1 - half)[1 : SYMBOLS + 1].mean())
