"""What latent dimension d' a pooled Sumformer needs: error over d', for targets of known need.

rho(sum_i phi(x_i)), no mixing layer; sets of ten tokens uniform in [-1, 1]^d, one number per set.
`squares` is sum_i |x_i|^2 in d = 4, for which d' = 1 is enough; `norm-4` and `norm-8` are
|sum_i x_i|^2 in d = 4 and d = 8, which need d' = d; `largest` is the largest first coordinate,
which needs d' = 10 to be exact and d' = 1 to be close. The reasons stand below the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from experiments.cells import Cell, compute, options
from experiments.fitting import Budget, Sets, fit
from experiments.tables import figure, table, write
from models import config
from models.model import Model
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.sum_of_squares import D, moment_norm, sample, sum_of_squares

N, HELD_OUT, SEEDS = 10, 5000, (0, 1, 2)
LATENTS, SMOKE_LATENTS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 16)
HIDDEN = (64, 64)
BUDGET = Budget(steps=4000, batch=128, rate=5e-3, every=1000)
SMOKE = Budget(steps=20, batch=20, every=10)


@dataclass(frozen=True, slots=True)
class Target:
    """One number per set, of tokens of this width; ``needed`` is the d' that exactness needs."""

    of: Callable[[Pack], Tensor]
    width: int
    needed: int


def _largest(pack: Pack) -> Tensor:
    return pack.max(pack.columns["x"][:, :1])


def _norm(pack: Pack) -> Tensor:
    return moment_norm(pack, power=1)


TARGETS = {
    "squares": Target(sum_of_squares, D, 1),
    "norm-4": Target(_norm, 4, 4),
    "norm-8": Target(_norm, 8, 8),
    "largest": Target(_largest, D, N),
}


def drawn(target: str, count: int, generator: torch.Generator) -> Sets:
    """Sets of N tokens (count, N, d) and their one number (count, 1, 1)."""
    pack = sample(torch.full((count,), N), generator, TARGETS[target].width)
    tokens = pack.columns["x"].unflatten(0, (count, N))
    return Sets(tokens, TARGETS[target].of(pack)[:, None])


def _fresh(target: str, batch: int, generator: torch.Generator) -> Iterator[Sets]:
    while True:
        yield drawn(target, batch, generator)


def pooled(width: int, latent: int) -> Model:
    """rho(sum phi): GELU, two hidden layers in each."""
    pool = config.SumPool(phi=HIDDEN, latent_dim=latent)
    return Model(
        config.ModelConfig(
            architecture="sumformer",
            signature=Signature(
                columns=(VectorColumn(width=width),), outputs=(Output(per="sequence", width=1),)
            ),
            heads=(config.SequenceHead(pool=pool, rho=HIDDEN),),
        )
    )


def cell(target: str, latent: int, seed: int, budget: Budget) -> Cell:
    """Train one -> its error as a share of the best constant's."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(100 + seed)
    held_out = drawn(target, HELD_OUT, torch.Generator().manual_seed(1))
    model = pooled(TARGETS[target].width, latent)
    batches = _fresh(target, budget.batch, generator)
    model.fit(next(batches).pack())
    curve = fit(model, batches, held_out, budget)
    constant = held_out.wanted - held_out.wanted.mean()
    share = curve[-1] * held_out.wanted.norm() / constant.norm()
    return {"error": round(share.item(), 5)}


def key(target: str, latent: int, seed: int) -> str:
    """Name of a cell."""
    return f"{target} latent={latent} seed={seed}"


def _grid(smoke: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (SMOKE_LATENTS, SEEDS[:1]) if smoke else (LATENTS, SEEDS)


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """Every target, latent dimension and seed."""
    latents, seeds = _grid(smoke)
    return {
        key(target, latent, seed): (target, latent, seed, SMOKE if smoke else BUDGET)
        for seed in seeds
        for target in TARGETS
        for latent in latents
    }


def errors(found: dict[str, Cell], target: str, latent: int, smoke: bool) -> list[float]:
    """Of every seed."""
    return [found[key(target, latent, seed)]["error"] for seed in _grid(smoke)[1]]


def report(found: dict[str, Cell], smoke: bool) -> str:
    """Median over seeds, smallest and largest beside it."""
    latents, _ = _grid(smoke)
    rows = []
    for target, about in TARGETS.items():
        ours = [errors(found, target, latent, smoke) for latent in latents]
        spread = [f"{median(e):.3f} ({min(e):.3f} to {max(e):.3f})" for e in ours]
        rows.append([target, about.needed, *spread])
        if target.startswith("norm"):
            rows.append(["d' of the sums", "", *(some_sums(about, one) for one in latents)])
    return table(["target", "d' needed", *(f"d'={latent}" for latent in latents)], rows)


def some_sums(target: Target, latent: int) -> float:
    """Error for a norm when d' of the d sums are kept: their squares are alike and independent."""
    return sqrt(max(0.0, 1 - latent / target.width))


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """Error over d': every seed a dot, the median a line."""
    latents, _ = _grid(smoke)
    made, axes = figure(1, len(TARGETS), (15, 3.8))
    for axis, (target, about) in zip(axes, TARGETS.items(), strict=True):
        ours = [errors(found, target, latent, smoke) for latent in latents]
        axis.loglog(latents, [median(e) for e in ours], "C0-", label="median of seeds")
        for latent, seeds in zip(latents, ours, strict=True):
            axis.loglog([latent] * len(seeds), seeds, "C0.")
        if target.startswith("norm"):
            shown = [latent for latent in latents if latent < about.width]
            kept = [some_sums(about, latent) for latent in shown]
            axis.loglog(shown, kept, "k:", label="d' of the d sums kept")
        axis.axvline(about.needed, color="C3", lw=1, ls="--", label="d' for an exact answer")
        axis.set(title=target, xlabel="d'", ylim=(0.003, 1.5))
        axis.set_xticks(latents, latents)
        axis.minorticks_off()
    axes[0].set_ylabel("error / error of the best constant")
    axes[1].legend()
    made.savefig(path, dpi=120)


READING = """\
Why `norm` needs d' = d. Let phi be continuous and d' < d. Nine tokens S / 9 for each S with |S| = 9
make a sphere of dimension d - 1 on which Sigma is a continuous map into R^d'; by Borsuk and Ulam
some S and -S have the same Sigma. Then for any tenth token y the model answers the same for both,
where |S + y|^2 and |S - y|^2 differ by 4 S.y; with y = sign(S) it is off by 2 |S|_1 >= 18 for one
of them. So the largest error is at least 18 for every phi and rho, of whatever width. Of the mean
error, which the table shows, this says nothing; knowing d' of the d sums
would give (1 - d' / d)^(1/2). A model with d' = d that stays near d^(-1/2) has lost one of the sums
in training; with d' > d that is less likely. What is needed is d; what trains well is more.

Why `largest` needs d' = n to be exact: Wagstaff et al. 2019 show that a continuous
rho(sum_i phi(x_i)) on sets of n numbers needs d' >= n for some functions, the maximum among them.
Yet log(sum_i exp(b x_i)) / b is within log(n) / b of it with d' = 1. Their bound is one on being
exact; `norm`'s is one on coming near. A bound on d' should say which it is.

None of this is the C(n + d, d) - 1 of the continuous proof, 1000 for n = 10 and d = 4 and 43757 for
d = 8: that many are enough for every target at once."""


def main() -> None:
    """All cells, the table and the picture."""
    chosen = options("latent_dim", __doc__)
    found = compute(chosen.out / "latent_dim.json", cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "latent_dim.png", chosen.smoke)
    about, text = (__doc__ or "").strip(), report(found, chosen.smoke)
    write(chosen.out / "latent_dim.md", "Error over the latent dimension", about, text, READING)


if __name__ == "__main__":
    main()
