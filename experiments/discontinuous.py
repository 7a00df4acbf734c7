"""The discontinuous proof of Theorem 4.1 as a layer: d' = 1, and what that costs.

A grid of Delta cells per side over [0, 1]^d, phi(x) = (n + 1)^cell, psi a table of the target at
the centres of cells (`models.layers.piecewise`). Every Delta whose sums a float64 holds exactly, on
Figure 2's target x_i + 7 x_i^2 + 3 x_i s_i^3, component-wise, s_i the sum of the other tokens.

In the largest norm the target's Lipschitz constant is exactly 15 + 12 (n - 1)^3, for every d: the
partial derivatives 1 + 14 x_i + 3 s_i^3 by x_i and 9 x_i s_i^2 by each other token are positive and
largest where all tokens are 1. No token is farther than 1 / (2 Delta) from its centre, so the error
is at most that constant over 2 Delta. As all coefficients are positive, the target grows fastest in
the last cell: the supremum of the error is exactly F(1) - F(1 - 1 / (2 Delta)) with
F(t) = t + 7 t^2 + 3 (n - 1)^3 t^4, reached where all tokens are 1.
"""

from __future__ import annotations

from math import comb, factorial, log2
from pathlib import Path
from typing import Any

import torch

from experiments.cells import Cell, compute, options
from experiments.fitting import Sets
from experiments.tables import figure, table, write
from models.architectures import Size, build
from models.layers.piecewise import PiecewiseLayer
from models.model import Block, Model
from models.signature import Output, Signature, VectorColumn
from models.tasks.polynomial import relative_error, target

SHAPES = {(2, 1): 33, (3, 1): 26, (2, 2): 5, (3, 2): 5}  # (n, d): the largest Delta that works
POINTS, SMOKE_POINTS = 200_000, 500


def model(n: int, d: int, cells: int) -> Model:
    """The layer alone, its table filled; ValueError where sums would not be exact."""
    shape = Signature(
        columns=(VectorColumn(width=d),), outputs=(Output(per="token", width=d),), max_length=n
    )
    made = Model(build("sumformer-piecewise", shape, Size(cells=cells))).eval()
    layer(made).tabulate(target)
    return made


def layer(made: Model) -> PiecewiseLayer:
    """The one layer of it."""
    block = made.blocks[0]
    assert isinstance(block, Block)
    assert isinstance(block.mixing, PiecewiseLayer)
    return block.mixing


@torch.no_grad()
def cell(n: int, d: int, cells: int, points: int) -> Cell:
    """Errors of one grid on random sequences and where they are largest, and its size."""
    made = model(n, d, cells)
    sets = Sets.drawn(target, points, n, d, torch.Generator().manual_seed(0))
    found = made(sets.pack())["y"].unflatten(0, (points, n))
    missed = (found - sets.wanted).abs()
    ones = torch.ones(1, n, d)
    corner = made(Sets(ones, ones).pack())["y"] - target(ones)[0]
    return {
        "largest": round(missed.max().item(), 5),
        "mean": round(missed.mean().item(), 5),
        "relative": round(relative_error(found, sets.wanted).item(), 5),
        "corner": round(corner.abs().max().item(), 5),
        "supremum": round(supremum(n, cells), 5),
        "bound": round(lipschitz(n) / (2 * cells), 5),
        "rows": len(layer(made).table),
        "bits": round(cells**d * log2(n + 1), 1),
    }


def lipschitz(n: int) -> float:
    """Of the target, in the largest norm: the sum of the partial derivatives where x_i = 1."""
    return 15 + 12 * (n - 1) ** 3


def supremum(n: int, cells: int) -> float:
    """Of the error, exactly."""

    def along_the_diagonal(t: float) -> float:
        return t + 7 * t**2 + 3 * (n - 1) ** 3 * t**4

    return along_the_diagonal(1) - along_the_diagonal(1 - 1 / (2 * cells))


def grids(n: int, d: int, smoke: bool) -> list[int]:
    """The Deltas to work off."""
    every = range(1, SHAPES[n, d] + 1)
    return [every[0], every[-1]] if smoke else list(every)


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """Every grid of every shape."""
    points = SMOKE_POINTS if smoke else POINTS
    return {
        f"n={n} d={d} cells={count}": (n, d, count, points)
        for n, d in SHAPES
        for count in grids(n, d, smoke)
    }


def report(found: dict[str, Cell], smoke: bool) -> str:
    """A few grids of each shape; the paper counts O(n (1 / eps)^(nd) / n!), eps = 1 / Delta."""
    rows = []
    for n, d in SHAPES:
        for count in sorted({1, 2, 5, 10, 20, SHAPES[n, d]} & set(grids(n, d, smoke))):
            one = found[f"n={n} d={d} cells={count}"]
            growth = n * count ** (n * d) / factorial(n)
            errors = [one[name] for name in ERRORS]
            size = [one["rows"], f"{growth:.1f}", one["bits"], comb(n + d, d) - 1]
            rows.append([n, d, count, *errors, *size])
    sizes = ["rows", "n Delta^(nd) / n!", "bits of the sum", "continuous proof's d'"]
    return table(["n", "d", "Delta", *ERRORS.values(), *sizes], rows)


ERRORS = {
    "mean": "mean error",
    "largest": "largest seen",
    "supremum": "supremum",
    "bound": "Lipschitz bound",
    "relative": "relative L2",
}


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """Errors over Delta, one panel per shape, with the slope -1 of the bound."""
    made, axes = figure(1, len(SHAPES), (15, 3.8))
    for axis, (n, d) in zip(axes, SHAPES, strict=True):
        counts = grids(n, d, smoke)
        ours = [found[f"n={n} d={d} cells={count}"] for count in counts]
        axis.loglog(counts, [one["bound"] for one in ours], "k--", lw=1, label="bound, slope -1")
        axis.loglog(counts, [one["supremum"] for one in ours], "C3-", label="supremum")
        axis.loglog(counts, [one["largest"] for one in ours], "C1.", label="largest seen")
        axis.loglog(counts, [one["mean"] for one in ours], "C0.-", label="mean")
        axis.set(title=f"n = {n}, d = {d}", xlabel="Delta (cells per side)")
        axis.set_xticks(_ticks(counts[-1]), _ticks(counts[-1]))
        axis.minorticks_off()
    axes[0].set_ylabel("absolute error")
    axes[0].legend()
    made.savefig(path, dpi=120)


def _ticks(last: int) -> list[int]:
    return [t for t in (1, 2, 3, 5, 10, 20) if t < 0.8 * last] + [last]


READING = """\
The rate is that of the proof: cells of half the side halve the error, and the bound from the
Lipschitz constant comes close to the true supremum. The price is the proof's too. Rows grow like
n Delta^(nd) / n! (ours are more, as shorter sequences have rows too), and d' = 1 is possible only
because that one number carries Delta^d log2(n + 1) bits: at d = 2 a float64 ends at Delta = 5. The
continuous proof has C(n + d, d) - 1 numbers of ordinary precision instead, 2 to 9 here."""


def main() -> None:
    """All grids, the table and the picture."""
    chosen = options("discontinuous", __doc__)
    found = compute(chosen.out / "discontinuous.json", cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "discontinuous.png", chosen.smoke)
    about, text = (__doc__ or "").strip(), report(found, chosen.smoke)
    write(chosen.out / "discontinuous.md", "One latent number, a table", about, text, READING)


if __name__ == "__main__":
    main()
