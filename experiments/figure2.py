"""Figure 2 of the Sumformer paper: error of the MLP Sumformer over (d, d'), n = 3.

Target x1 + 7 x1^2 + 3 x1 (x2 + x3)^3, component-wise. Two settings: the paper's 2,000 fixed points
and 200 epochs, and fresh points at every step. Beside them the paper's figure, phi(x) = x given
(the oracle), and the best predictor that sees no other token. The fixed points are fitted with a
weight decay of 0.1: without it wide phi learn them by heart. One seed for each d.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from experiments.cells import Cell, compute, options
from experiments.fitting import PAPER, Budget, Sets, fit, fixed, fresh, sumformer
from experiments.paper import FIGURE_2
from experiments.tables import figure, table, write
from models import config
from models.layers.sumformer import SumformerLayer
from models.model import Block, Model
from models.pools import SumPool
from models.tasks.polynomial import target

N, POINTS, BATCH = 3, 2000, 50
Setting = Literal["fixed", "fresh"]
WIDTHS = tuple(range(1, 11))
LATENTS = tuple(2**k for k in range(12))
BUDGETS = {
    "fixed": Budget(steps=200 * POINTS // BATCH, batch=BATCH, decay=0.1),
    "fresh": Budget(steps=12_000, batch=100),
}
SMOKE = Budget(steps=20, batch=BATCH, every=10)


def cell(setting: Setting, d: int, latent: int | Literal["oracle"], budget: Budget) -> Cell:
    """Train one Sumformer -> its best validated error and its last."""
    torch.manual_seed(d)
    generator = torch.Generator().manual_seed(1)
    points = Sets.drawn(target, POINTS, N, d, generator)
    held_out = Sets.drawn(target, POINTS, N, d, torch.Generator().manual_seed(2))
    model = _oracle(d) if latent == "oracle" else _model(d, latent)
    model.fit(points.pack())
    if setting == "fixed":
        batches = fixed(points, budget.batch, generator)
    else:
        batches = fresh(target, budget.batch, N, d, generator)
    curve = fit(model, batches, held_out, budget)
    return {"best": round(min(curve), 5), "last": round(curve[-1], 5)}


def _model(d: int, latent: int) -> Model:
    return sumformer(d, config.SumPool(phi=PAPER, latent_dim=latent))


def _oracle(d: int) -> Model:
    """phi(x) = x, given and fixed: d' = d is exactly enough for this target."""
    model = sumformer(d, config.SumPool(latent_dim=d))
    block = model.blocks[0]
    assert isinstance(block, Block)
    assert isinstance(block.mixing, SumformerLayer)
    assert isinstance(block.mixing.pool, SumPool)
    last = block.mixing.pool.phi.last
    nn.init.eye_(last.weight)
    nn.init.zeros_(last.bias)
    last.requires_grad_(False)
    return model


def without_others(d: int, samples: int = 200_000) -> float:
    """Error of the best function of x1 alone: the target's mean over x2 and x3, by its moments."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.rand(samples, N, d, generator=generator)
    wanted = target(tokens)[:, 0]
    x = tokens[:, 0]
    cubed = 3 / 2  # E (u + v)^3 for u, v uniform: 2 / 4 + 6 / (3 * 2)
    return float((x + 7 * x**2 + 3 * x * cubed - wanted).norm() / wanted.norm())


def key(setting: str, d: int, latent: object) -> str:
    """Name of a cell."""
    return f"{setting} d={d} latent={latent}"


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """All cells of both settings, small ones first."""
    widths = (1, 10) if smoke else WIDTHS
    latents: tuple[Any, ...] = (*((1, 16) if smoke else LATENTS), "oracle")
    settings: tuple[Setting, ...] = ("fixed", "fresh")
    return {
        key(setting, d, latent): (setting, d, latent, SMOKE if smoke else BUDGETS[setting])
        for setting in settings
        for latent in latents
        for d in widths
    }


def report(found: dict[str, Cell], smoke: bool) -> list[str]:
    """Tables of both settings, and what they say."""
    widths, latents = _grid(smoke)
    alone = [without_others(d) for d in widths]
    parts = []
    for setting in ("fixed", "fresh"):
        rows: list[list[object]] = [
            [latent, *(_beside(found[key(setting, d, latent)], d, latent) for d in widths)]
            for latent in latents
        ]
        rows.append(["oracle", *(found[key(setting, d, "oracle")]["best"] for d in widths)])
        rows.append(["no other token", *alone])
        parts.append(f"## {setting.capitalize()} points: ours (the paper's)")
        parts.append(table(["d'", *(f"d={d}" for d in widths)], rows))
    return [*parts, _verdict(found, widths, latents)]


def _grid(smoke: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return ((1, 10), (1, 16)) if smoke else (WIDTHS, LATENTS)


def _beside(cell: Cell, d: int, latent: int) -> str:
    return f"{cell['best']:.3f} ({FIGURE_2[latent][d - 1]:.3g})"


def _verdict(found: dict[str, Cell], widths: tuple[int, ...], latents: tuple[int, ...]) -> str:
    pairs = [(d, latent) for latent in latents for d in widths]
    reached = [
        found[key("fixed", d, latent)]["best"] <= 1.05 * FIGURE_2[latent][d - 1] + 0.002
        for d, latent in pairs
    ]
    enough = [found[key("fresh", d, latent)]["best"] for d, latent in pairs if latent >= d]
    return (
        f"Fixed points: {sum(reached)} of {len(reached)} cells at or under 1.05 times the paper's "
        f"value + 0.002. Fresh points: the largest error of a cell with d' >= d is "
        f"{max(enough):.3f}; {sum(e <= 0.08 for e in enough)} of {len(enough)} at or under 0.08."
    )


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """The heat maps: the paper's, and ours in both settings."""
    from matplotlib.colors import LogNorm

    widths, latents = _grid(smoke)
    maps = {"the paper's": [[FIGURE_2[latent][d - 1] for d in widths] for latent in latents]}
    for setting in ("fixed", "fresh"):
        maps[f"ours, {setting} points"] = [
            [found[key(setting, d, latent)]["best"] for d in widths] for latent in latents
        ]
    made, axes = figure(1, 3, (13, 4.5))
    for axis, (title, values) in zip(axes, maps.items(), strict=True):
        image = axis.imshow(values, norm=LogNorm(0.0026, 0.62), aspect="auto", origin="lower")
        axis.set(title=title, xlabel="d", ylabel="d'")
        axis.set_xticks(range(len(widths)), widths)
        axis.set_yticks(range(len(latents)), latents)
    made.colorbar(image, ax=axes, label="relative L2 error")
    made.savefig(path, dpi=120)


READING = """\
The target needs of the other tokens only their sum, so phi(x) = x with d' = d is exactly enough,
and d' < d is a true bottleneck: the error falls at the first d' >= d. The paper likens the d' it
found necessary to C(n + d, d) - 1, exponential in d; that reading rests on cells with d' >= d that
were not trained well enough. What is needed grows linearly: it is d."""


def main() -> None:
    """All cells, the tables and the picture."""
    chosen = options("figure2", __doc__)
    found = compute(chosen.out / "figure2.json", cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "figure2.png", chosen.smoke)
    about, text = (__doc__ or "").strip(), report(found, chosen.smoke)
    write(chosen.out / "figure2.md", "Error over (d, d')", about, *text, READING)


if __name__ == "__main__":
    main()
