"""How well FAVOR+ features and Linformer projections approximate exact softmax attention.

Performer: 256 tokens, heads of width 32; q and k of one norm r each (scaled by width^(-1/4) as the
layer does) in random directions, v Gaussian. Features: `orthogonal`, as in the layer;
`independent` Gaussian ones; `unsigned`, orthogonal with the signs that LAPACK's QR leaves; `trig`,
m / 2 sines and cosines.

Linformer: q, k, v from tokens that are independent (`noise`) or a mean of 32 neighbours (`smooth`);
R has entries N(0, 1/k). `jl` is A R^T R v with A exact; `theorem` softmax(q (E k)^T) F v with
E = delta R, F = exp(-delta) R, delta = 2^-n; `random` the same with E = F = R; `pooled` with means
of n / k neighbours; `fitted` starts there and follows the gradient; `svd` is the best A of rank k,
times v. All errors are relative Frobenius norms, of the attention's output unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, log
from pathlib import Path
from statistics import linear_regression
from typing import Any

from experiments import features, projections
from experiments.cells import Cell, compute, options
from experiments.tables import figure, table, write

KINDS = ("orthogonal", "independent", "unsigned", "trig")
NORMS = (0.5, 1.0, 2.0, 3.0)
FEATURES, SMOKE_FEATURES = tuple(2**i for i in range(3, 13)), (8, 32)
LENGTHS, SMOKE_LENGTHS = (128, 512, 2048), (16, 32)
PLAN = projections.Plan(sizes=tuple(2**i for i in range(3, 10)), draws=3, steps=80)
SMOKE = projections.Plan(sizes=(8, 16), draws=1, steps=2)
SIGN_WIDTHS = (4, 8, 16, 32)


PARTS: dict[str, Callable[..., Cell]] = {
    "performer": features.performer,
    "signs": features.signs,
    "linformer": projections.cell,
}


def cell(part: str, *asked: Any) -> Cell:
    """One cell of any of the three parts."""
    return PARTS[part](*asked)


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """Quick ones first."""
    many, draws = (SMOKE_FEATURES, 3) if smoke else (FEATURES, 15)
    plan, lengths = (SMOKE, SMOKE_LENGTHS) if smoke else (PLAN, LENGTHS)
    asked: list[tuple[Any, ...]] = [("signs", w, 20 if smoke else 20_000) for w in SIGN_WIDTHS]
    asked += [("performer", kind, norm, many, draws) for kind in KINDS for norm in NORMS]
    asked += [("linformer", data, n, plan) for n in lengths for data in ("noise", "smooth")]
    return {" ".join(map(str, one[: 2 if one[0] == "signs" else 3])): one for one in asked}


def slope(errors: dict[str, list[float]]) -> float:
    """Of the median over the number of features, in logarithms, from 64 features on."""
    many = {int(m): e[1] for m, e in errors.items() if int(m) >= 64 or len(errors) < 5}
    return linear_regression([log(m) for m in many], [log(e) for e in many.values()]).slope


def report(found: dict[str, Cell], smoke: bool) -> list[str]:
    """A table for each part."""
    return [
        "## Performer: median error (quartiles) by number of features m",
        _performer_table(found, smoke),
        "## Signs: mean estimate of exp(q.k) = 1.284",
        table(["width", "q = k", "with the correction", "without"], _sign_rows(found)),
        "## Linformer: error by projection size k",
        _linformer_table(found, smoke, "relative"),
        "## Linformer: a row's error over |its weights| |v|, as Theorem 2 measures it",
        _linformer_table(found, smoke, "theorem"),
    ]


def _performer_table(found: dict[str, Cell], smoke: bool) -> str:
    shown = SMOKE_FEATURES if smoke else (64, 256, 1024, 4096)
    rows = []
    for norm in NORMS:
        for kind in KINDS:
            one = found[f"performer {kind} {norm}"]
            errors = [one["output"][str(m)] for m in shown]
            spread = [f"{e[1]:.3g} ({e[0]:.3g} to {e[2]:.3g})" for e in errors]
            matrix = one["matrix"][str(shown[-1])][1]
            rows.append([norm, kind, *spread, matrix, slope(one["output"])])
    last = [f"matrix, m = {shown[-1]}", "slope"]
    return table(["r", "features", *(f"m = {m}" for m in shown), *last], rows)


def _sign_rows(found: dict[str, Cell]) -> Iterator[list[Any]]:
    for width in SIGN_WIDTHS:
        for sign, name in ((1, "u / 2"), (-1, "-u / 2")):
            one = found[f"signs {width}"]
            both = [one[f"{kind} {sign:+d}"] for kind in ("orthogonal", "unsigned")]
            yield [width, name, *(f"{mean:.4f} +- {error:.4f}" for mean, error in both)]


def _linformer_table(found: dict[str, Cell], smoke: bool, measure: str) -> str:
    sizes = (SMOKE if smoke else PLAN).sizes
    rows = []
    for data in ("noise", "smooth"):
        for n in SMOKE_LENGTHS if smoke else LENGTHS:
            for method, errors in found[f"linformer {data} {n}"]["errors"].items():
                at = [errors[str(k)][measure] if str(k) in errors else "" for k in sizes]
                constant = [next(iter(errors.values()))[measure]] * len(sizes)
                rows.append([data, n, method, *(constant if len(errors) == 1 else at)])
    return table(["tokens", "n", "method", *(f"k = {k}" for k in sizes)], rows)


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """Above, error over m for each norm; below, error over k for some data, and the signs."""
    made, axes = figure(2, 4, (16, 7.6))
    for axis, norm in zip(axes, NORMS, strict=False):
        for kind in KINDS:
            _band(axis, found[f"performer {kind} {norm}"]["output"], kind)
        axis.set(title=f"Performer, |q| = |k| = {norm}", xlabel="m", ylim=(1e-3, 1e3))
    for axis, (data, n) in zip(axes[4:], _shown(smoke), strict=False):
        _methods(axis, found[f"linformer {data} {n}"]["errors"])
        axis.set(title=f"Linformer, {data}, n = {n}", xlabel="k", ylim=(3e-4, 60))
    axes[0].set_ylabel("relative error of the output")
    axes[4].set_ylabel("relative error of the output")
    axes[0].legend()
    axes[6].legend(ncols=2, fontsize=8, loc="lower left")
    _sign_bars(axes[7], found)
    made.savefig(path, dpi=120)


def _shown(smoke: bool) -> list[tuple[str, int]]:
    lengths = SMOKE_LENGTHS if smoke else LENGTHS
    return [("noise", lengths[-1]), ("smooth", lengths[-2]), ("smooth", lengths[-1])]


def _band(axis: Any, errors: dict[str, list[float]], label: str) -> None:
    m = [int(one) for one in errors]
    low, middle, high = zip(*errors.values(), strict=True)
    (line,) = axis.loglog(m, middle, ".-", label=label)
    axis.fill_between(m, low, high, color=line.get_color(), alpha=0.2, lw=0)


def _methods(axis: Any, methods: Cell) -> None:
    for method in (*projections.METHODS, "fitted", "svd"):
        shown = {int(k): e["relative"] for k, e in methods[method].items() if e["relative"] > 1e-4}
        axis.loglog(list(shown), list(shown.values()), ".-", label=method)
    axis.axhline(1, color="k", lw=0.8, ls=":", label="zero")


def _sign_bars(axis: Any, found: dict[str, Cell]) -> None:
    places = range(len(SIGN_WIDTHS))
    for i, (kind, colour) in enumerate((("orthogonal", "C0"), ("unsigned", "C2"))):
        for sign, mark in ((1, "o"), (-1, "s")):
            ours = [found[f"signs {width}"][f"{kind} {sign:+d}"] for width in SIGN_WIDTHS]
            at, label = [p + 0.1 * (2 * i - 1) for p in places], f"{kind}, {sign:+d}"
            mean, error = zip(*ours, strict=True)
            axis.errorbar(at, mean, error, fmt=mark, color=colour, capsize=3, label=label)
    axis.axhline(exp(0.25), color="k", lw=0.8, ls=":")
    axis.set_xticks(places, SIGN_WIDTHS)
    axis.set(title="mean estimate of exp(q.k)", xlabel="width", ylim=(1.0, 1.85))
    axis.legend(fontsize=8, ncols=2, loc="upper left", title="features, q = k = +-u / 2")


READING = """\
**Performer.** An estimate of exp(q.k) from m independent features has the relative variance (exp(|q
+ k|^2) - 1) / m, and that is what the tables show: the error falls as m^(-1/2), somewhat below
((exp(2 r^2) - 1) / m)^(1/2), while that is below one. A head of width 32 whose q and k have unit
variance has r = 32^(1/4) = 2.4; for an error of a tenth it would need some ten million features. At
r = 2 the slope is not reached with 4,096, at r = 3 nothing is. "m = d log d is enough" (Theorem 4)
hides this in its constant; what Performers achieve, they achieve by being trained as they are.
Orthogonal features are 8 to 18 % better than independent ones up to r = 1. So is the unstable
`trig`, by far; at r = 2 it needs thousands of features not to be far worse, at r = 3 it is useless.

**Signs.** Without the correction QR's rows point away from (1, ..., 1) more often than towards it.
Estimates are off by a tenth to a fifth, to either side, however many draws are averaged, and at r =
0.5 the error of `unsigned` falls more slowly than the others' (slope -0.37, not -0.49).

**Linformer.** `jl` holds as proven, 1 / k^(1/2) for every n, in the theorem's measure. But
answering zero has an error of only 0.07 to 0.11 by that measure at n = 2048, so a k below about 80
to 190 may promise less than no answer at all; relative to the output `jl` needs k that grows with
n. `theorem` does not follow from it: exp acts entry by entry and does not commute with R^T. With
delta near 0 all scores are equal, so every query gets the same answer, the nearer to zero the more
rows there are. `random`, as a Linformer begins, is worse still until k comes near n. What works is
structure: where neighbours resemble each other, means of n / k of them do, at the same width n / k
for every n (k grows with n); gradients find little more in so short a time. Where they do not, no
fixed E and F do, though A itself is close to low rank (`svd`, which sees A; the output alone has
rank 32). A trained Linformer is a model of its own that learns to be compressible, not an
approximation."""


def main() -> None:
    """All cells, the tables and the picture."""
    chosen = options("approximation", __doc__)
    found = compute(chosen.out / "approximation.json", cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "approximation.png", chosen.smoke)
    about, text = (__doc__ or "").strip(), report(found, chosen.smoke)
    write(chosen.out / "approximation.md", "Approximating softmax attention", about, *text, READING)


if __name__ == "__main__":
    main()
