"""ListOps: nested MIN, MAX, MED and SM (sum modulo 10) of digits -> the value, one of ten classes.

The generator of the Long Range Arena (Tay et al. 2020), whose rules `sample` keeps, and whose
lengths are LONG; the task itself has shorter ones, unless told `low` and `high`. The figure is the
accuracy; published for LONG: Transformer 36.37 %, Performer 18.01 %, Linformer 35.70 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.architectures import Size
from models.pack import Pack
from models.signature import IdsColumn, Output, Signature
from models.tasks.task import Batch, Recipe, Task, held_out

DIGITS = tuple("0123456789")
OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
SYMBOLS = (*DIGITS, *OPERATORS, "X")
LEAF, CLOSE = -1, len(SYMBOLS) - 1
DEEPEST, SPLITS, ARGUMENTS = 10, 0.25, (2, 10)
LONG, SHORT = (501, 1999), (10, 200)
TREES, PATIENCE = 1024, 512
BATCH = 64


@dataclass(slots=True)
class Level:
    """The M nodes of one depth of many trees, each tree's and each parent's side by side.

    parent (M,) indexes the level above; operator (M,) is LEAF for a digit; arity (M,) counts
    children; digit (M,) is a leaf's value; size (M,) counts symbols, once `_measure` has run.
    """

    parent: Tensor
    operator: Tensor
    arity: Tensor
    digit: Tensor
    size: Tensor

    def kept(self, keep: Tensor, above: Tensor) -> Level:
        """Only the nodes where ``keep`` (M,); ``above`` tells which parents were kept."""
        place = above.cumsum(0) - 1
        rest = (part[keep] for part in (self.operator, self.arity, self.digit, self.size))
        return Level(place[self.parent[keep]], *rest)


def sample(sequences: int, lengths: tuple[int, int], generator: torch.Generator) -> Batch:
    """Fresh expressions whose lengths lie in a range, both ends included, and their values.

    Raises ValueError when there are none of such a length among half a million.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    found, since = 0, 0
    while found < sequences:
        parts.append(_expressions(_forest(TREES, generator), lengths))
        fresh = len(parts[-1][2])
        found, since = found + fresh, 0 if fresh else since + 1
        if since == PATIENCE:
            low, high = lengths
            raise ValueError(f"no expression in {since * TREES:,} has {low} to {high} symbols")
    ids, sizes, values = (torch.cat(part) for part in zip(*parts, strict=True))
    sizes = sizes[:sequences]
    pack = Pack({"tokens": ids[: int(sizes.sum())]}, sizes)
    return Batch(pack, {"value": values[:sequences]})


def _forest(trees: int, generator: torch.Generator) -> list[Level]:
    """A node is an operator with probability 1/4, of 2 to 10 arguments; at depth 10 it is not."""
    levels = []
    parent = torch.arange(trees)
    for depth in range(1, DEEPEST + 1):
        nodes = len(parent)
        drawn = torch.rand(4, nodes, generator=generator)
        splits = (drawn[0] <= SPLITS) & (depth < DEEPEST)
        operator = torch.where(splits, (drawn[1] * len(OPERATORS)).long(), LEAF)
        low, high = ARGUMENTS
        arity = torch.where(splits, low + (drawn[2] * (high - low + 1)).long(), 0)
        digit = (drawn[3] * len(DIGITS)).long()
        levels.append(Level(parent, operator, arity, digit, torch.where(splits, 2, 1)))
        parent = torch.repeat_interleave(torch.arange(nodes), arity)
    _measure(levels)
    return levels


def _measure(levels: list[Level]) -> None:
    """A node's symbols: a digit one, an operator two and those of its children."""
    for above, level in zip(levels[-2::-1], levels[:0:-1], strict=True):
        above.size = above.size.index_add(0, level.parent, level.size)


def _expressions(levels: list[Level], lengths: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids end to end, sizes and values of the trees whose length fits."""
    low, high = lengths
    keep = (levels[0].size >= low) & (levels[0].size <= high)
    fitting = [levels[0].kept(keep, torch.ones_like(keep))]
    for level in levels[1:]:
        below = keep[level.parent]
        fitting.append(level.kept(below, keep))
        keep = below
    return _symbols(fitting), fitting[0].size, _values(fitting)


def _values(levels: list[Level]) -> Tensor:
    """Values of the roots, from the leaves up."""
    value = levels[-1].digit
    for above, level in zip(levels[-2::-1], levels[:0:-1], strict=True):
        value = torch.where(above.operator == LEAF, above.digit, _operate(above, level, value))
    return value


def _operate(above: Level, level: Level, value: Tensor) -> Tensor:
    """What every node above makes of its children's values; meaningless where it has none."""
    if len(value) == 0:
        return above.digit
    ordered = (level.parent * 10 + value).sort().values % 10
    first = above.arity.cumsum(0) - above.arity

    def at(place: Tensor) -> Tensor:
        return ordered[(first + place).clamp(0, len(ordered) - 1)]

    last = above.arity - 1
    # int(np.median) of an even number of values is the mean of the middle two, rounded down.
    median = (at(last // 2) + at(above.arity // 2)) // 2
    total = torch.zeros_like(above.digit).index_add(0, level.parent, value) % 10
    results = torch.stack([at(torch.zeros_like(last)), at(last), median, total])
    chosen: Tensor = results.gather(0, above.operator.clamp(min=0)[None])[0]
    return chosen


def _symbols(levels: list[Level]) -> Tensor:
    """Ids of the expressions: operator, arguments, X, as the paper's loader leaves them."""
    roots = levels[0].size
    ids = torch.empty(int(roots.sum()), dtype=torch.int64)
    place = roots.cumsum(0) - roots
    for above, level in zip([None, *levels], levels, strict=False):
        if above is not None:
            first = above.arity.cumsum(0) - above.arity
            before = level.size.cumsum(0) - level.size
            elder = before - before[first[level.parent]]
            place = place[level.parent] + 1 + elder
        leaf = level.operator == LEAF
        ids[place] = torch.where(leaf, level.digit, len(DIGITS) + level.operator)
        ids[(place + level.size - 1)[~leaf]] = CLOSE
    return ids


class ListOps(Task):
    """A class per sequence: the value of the expression."""

    name = "listops"
    size = Size(width=128, blocks=4, positional=True)
    recipe = Recipe(steps=10_000, learning_rate=1e-3)
    architecture = "transformer"

    def __init__(self, low: int = SHORT[0], high: int = SHORT[1], batch: int = BATCH) -> None:
        if not 0 < low <= high or batch < 1:
            raise ValueError(
                f"listops: lengths from {low} to {high} in batches of {batch}; low and batch are "
                "at least 1, high is not below low"
            )
        if (low, high) != SHORT:
            sample(1, (low, high), held_out(0))  # which raises where there are none
        self.trained_lengths, self.sequences = (low, high), batch
        self.signature = Signature(
            columns=(IdsColumn(name="tokens", high=CLOSE, labels=SYMBOLS),),
            outputs=(
                Output(
                    name="value",
                    per="sequence",
                    width=len(DIGITS),
                    kind="classification",
                    labels=DIGITS,
                ),
            ),
            max_length=high,
        )

    def batch(self, generator: torch.Generator) -> Batch:
        return sample(self.sequences, self.trained_lengths, generator)

    def validation(self) -> Batch:
        return sample(1_000, self.trained_lengths, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": sample(2_000, self.trained_lengths, held_out(3))}


TASK = ListOps()
