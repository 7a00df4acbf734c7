"""Seven architectures on the same equivariant targets, at equal numbers of parameters.

Sequences of n = 64 tokens uniform in [0, 1]^4, fresh at every step. The targets are those of
Figure 1, brought to this length so that they are distributed as at n = 5: s_i is the sum of the
others, centred and scaled to the mean and spread of four of them, and the maximum is raised to
n / 5, which makes it the maximum of five. Component-wise `cubic` x_i + 7 x_i^2 + 3 x_i s_i^3,
`dot` x_i <x_i, s_i>, `maximum` x_i max_j x_j^(n / 5), `wave` sin(3 x_i + 2 s_i).

Every model has two blocks and 4 heads; layers that are not equivariant get learned positions, as
their theorems ask. The width comes as close as heads allow to the dense Transformer's number of
parameters, the hidden width of its MLPs closes the gap. Same steps, batches and rates for all;
Performer's random features stay as drawn. The star's ring of 4 to each side and the window of 8
with one global token have the same connections but where the ring closes.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from experiments.cells import Cell, compute, options
from experiments.fitting import Budget, Sets, fit, fresh
from experiments.tables import figure, table, write
from experiments.targets import constant, targets, without_others
from models import config
from models.architectures import Size, build
from models.model import Model
from models.signature import Output, Signature, VectorColumn

N, D, AS_LONG = 64, 4, 5
SEEDS = (0, 1)
BUDGET = Budget(steps=2000, batch=32, rate=3e-3, every=500)
SMOKE = Budget(steps=3, batch=4, every=3)
HELD_OUT = 500
SHAPE = Signature(
    columns=(VectorColumn(width=D),), outputs=(Output(per="token", width=D),), max_length=N
)
REFERENCE, WIDTH, HEADS = "transformer", 48, 4

# what an architecture is told beside its width
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {},
    "sumformer": {},
    "performer": {"features": 32},
    "linformer": {"features": 16, "positional": True},
    "sparse-star": {"reach": 4, "positional": True},
    "sparse-window_global": {"reach": 8, "positional": True},
    "sparse-strided": {"reach": 8, "positional": True},
}


def others(x: Tensor) -> Tensor:
    """(B, n, d) -> (B, n, d): the others' sum, with the mean and spread of four tokens."""
    centred, four = x - 0.5, AS_LONG - 1
    total = centred.sum(1, keepdim=True) - centred
    return four / 2 + total * math.sqrt(four / (x.shape[1] - 1))


def _top(x: Tensor) -> Tensor:
    """The maximum of all tokens; to the power n / 5 it is distributed as of five."""
    return x.amax(1, keepdim=True) ** (x.shape[1] / AS_LONG)


TARGETS = targets(others, _top)


def configured(name: str, width: int, hidden: int) -> config.ModelConfig:
    """An architecture with MLPs of this hidden width in its blocks, phi's and psi's too."""
    made = build(name, SHAPE, Size(width=width, heads=HEADS, **MODELS[name]))
    return made.model_copy(update={"blocks": tuple(_hide(b, hidden) for b in made.blocks)})


def _hide(block: config.Block, hidden: int) -> config.Block:
    layer = block.mixing
    if not isinstance(layer, config.SumformerLayer):
        return block.model_copy(update={"feed_forward": (hidden,)})
    pool = layer.pool.model_copy(update={"phi": (hidden,)})
    mixing = layer.model_copy(update={"pool": pool, "psi": (hidden,)})
    return block.model_copy(update={"mixing": mixing})


def parameters(own: config.ModelConfig) -> int:
    """How many numbers are trained."""
    return sum(weights.numel() for weights in Model(own).parameters())


@cache
def sized(name: str, wanted: int) -> tuple[int, int]:
    """The width and hidden width with about as many parameters.

    Of the widths that heads divide the one that comes closest with MLPs twice as wide; the number
    of parameters is affine in the hidden width, so two counts give the rest.
    """
    width = min(
        range(4 * HEADS, 3 * WIDTH, HEADS),
        key=lambda w: abs(parameters(configured(name, w, 2 * w)) - wanted),
    )
    least, more = (parameters(configured(name, width, hidden)) for hidden in (1, 2))
    return width, max(1, 1 + round((wanted - least) / (more - least)))


def equal(name: str) -> config.ModelConfig:
    """The architecture with as many parameters as the reference, within 2 %."""
    wanted = parameters(configured(REFERENCE, WIDTH, 2 * WIDTH))
    return configured(name, *sized(name, wanted))


def cell(target: str, name: str, seed: int, budget: Budget) -> Cell:
    """Train one model -> its error at every validation."""
    wanted = TARGETS[target]
    own = equal(name)
    torch.manual_seed(seed)
    model = Model(own)
    held_out = Sets.drawn(wanted, HELD_OUT, N, D, torch.Generator().manual_seed(1))
    batches = fresh(wanted, budget.batch, N, D, torch.Generator().manual_seed(100 + seed))
    model.fit(next(batches).pack())
    curve = fit(model, batches, held_out, budget)
    return {"curve": [round(e, 5) for e in curve], "last": round(curve[-1], 5)}


@cache
def untrained(target: str, samples: int) -> tuple[float, float]:
    """Errors of the best function of x_i alone, and of the best constant."""
    tokens = torch.rand(HELD_OUT, N, D, generator=torch.Generator().manual_seed(1))
    alone = without_others(TARGETS[target], tokens[:300], samples)
    return alone, constant(TARGETS[target], tokens)


def _seeds(smoke: bool) -> tuple[int, ...]:
    return SEEDS[:1] if smoke else SEEDS


def cells(smoke: bool) -> dict[str, tuple[str, str, int, Budget]]:
    """All runs, seed by seed."""
    return {
        f"{target} {name} {seed}": (target, name, seed, SMOKE if smoke else BUDGET)
        for seed in _seeds(smoke)
        for target in (list(TARGETS)[:1] if smoke else TARGETS)
        for name in MODELS
    }


def errors(found: dict[str, Cell], target: str, name: str) -> list[float]:
    """The last errors of all seeds."""
    return [c["last"] for key, c in found.items() if key.startswith(f"{target} {name} ")]


def asked(found: dict[str, Cell]) -> list[str]:
    """Those that were run."""
    return [target for target in TARGETS if any(key.startswith(target) for key in found)]


def sizes() -> str:
    """Widths and numbers of parameters."""
    wanted, rows = parameters(equal(REFERENCE)), []
    for name in MODELS:
        width, hidden = sized(name, wanted)
        count = parameters(equal(name))
        rows.append([name, width, hidden, f"{count:,}", f"{100 * (count / wanted - 1):+.2f} %"])
    return table(["architecture", "width", "hidden", "parameters", "against the first"], rows)


def report(found: dict[str, Cell], smoke: bool) -> str:
    """Median and range over the seeds, beside what needs no training."""
    shown = asked(found)
    rows: list[list[Any]] = []
    for name in MODELS:
        every = [errors(found, target, name) for target in shown]
        rows.append([name, *(f"{median(e):.3g} ({min(e):.3g}-{max(e):.3g})" for e in every)])
    baselines = zip(*(untrained(target, 20 if smoke else 1000) for target in shown), strict=True)
    for name, values in zip(("no other token", "constant"), baselines, strict=True):
        rows.append([name, *values])
    return table(["architecture", *shown], rows)


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """A bar per architecture, one panel per target; lines are the two baselines."""
    shown = asked(found)
    made, axes = figure(1, len(shown), (4 * len(shown), 4.2))
    for axis, target in zip(axes, shown, strict=True):
        heights = [median(errors(found, target, name)) for name in MODELS]
        axis.bar(list(MODELS), heights, color=[f"C{i}" for i in range(len(MODELS))])
        for name, place in zip(MODELS, range(len(MODELS)), strict=True):
            own = errors(found, target, name)
            axis.plot([place] * len(own), own, "k.", ms=4)
        for error, line in zip(untrained(target, 20 if smoke else 1000), ("--", ":"), strict=True):
            axis.axhline(error, color="k", ls=line, lw=1)
        axis.set(title=target, yscale="log")
        axis.tick_params(axis="x", rotation=90)
    axes[0].set_ylabel("relative L2 error")
    made.savefig(path, dpi=120)


def main() -> None:
    """All runs, the tables and the picture."""
    chosen = options("architectures", __doc__)
    path = chosen.out / "architectures.json"
    found = compute(path, cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "architectures.png", chosen.smoke)
    write(
        chosen.out / "architectures.md",
        "Error of the architectures at equal size",
        (__doc__ or "").strip(),
        sizes(),
        f"Relative L2 error after {BUDGET.steps} steps of {BUDGET.batch} sequences: median "
        f"(range) of {len(SEEDS)} seeds. Dashed in the picture: the best predictor that sees no "
        "other token; dotted: the best constant.",
        report(found, chosen.smoke),
    )


if __name__ == "__main__":
    main()
