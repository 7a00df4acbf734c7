"""Copying 127 symbols over a distance of 127 (Yun et al. 2020, section 5) with sparse attention.

By pattern, by how heads share its parts, and by depth; a dense Transformer beside them. A block is
attention and a feed-forward; 4 heads of 16, w = 16 for strided, fixed and star, and as many random
keys as make 90 % sparsity. Every query of the second half holds the same token, so what has to be
learnt is where to look. The rest is given: positions start as sinusoids (and are learned),
W_O W_V as a multiple of the identity, the output matrix as the table of symbols. Without that even
patterns that can copy stay on a plateau: two strided layers were at chance after 1,000 steps.

A run ends when all answers to 32 held-out sequences are right, or after 1,500 steps of 8 sequences.
One seed for each.
"""

from __future__ import annotations

from pathlib import Path

import torch

from experiments.cells import Cell, compute, options
from experiments.copying_rows import (
    HEADS,
    RANDOM,
    ROWS,
    WINDOW,
    Row,
    keys_for,
    reach,
    sparsity,
    visible,
)
from experiments.tables import figure, table, write
from models import config
from models.model import Model
from models.tasks.copying import TASK, sample
from models.tasks.task import Batch, held_out
from models.training.loop import Loop

WIDTH, EVERY = 64, 50
DEPTHS, SEED = (1, 2, 3, 4), 0

READING = """\
Accuracy in %; then the share of answers whose symbol's token is in sight at that
depth, above which there is only chance (0.79); then, in italics, what Yun et al. report, RECALLED
AND NOT READ in the paper, so it may be wrong. Sparsity, in %, is a head's; reach is the number of
layers after which every token depends on all. Sight is no promise: in the star all 127 symbols
pass through one token of 64 numbers, in the fixed patterns 16 through each, and both stay far below
what is recalled, at this width and after these steps."""


def configured(row: Row | None, depth: int) -> config.ModelConfig:
    """``depth`` blocks; the output is linear, as it starts as the table of symbols."""
    blocks = tuple(
        config.Block(mixing=_mixing(row, layer), norm=True, feed_forward=(2 * WIDTH,))
        for layer in range(depth)
    )
    return config.ModelConfig(
        architecture="copying",
        signature=TASK.signature,
        embedding=config.Embedding(width=WIDTH, position="learned"),
        blocks=blocks,
        heads=(config.TokenHead(hidden=()),),
        final_norm=True,
    )


def _mixing(row: Row | None, layer: int) -> config.Mixing:
    if row is None:
        return config.TransformerLayer(heads=HEADS)
    return config.SparseLayer(
        heads=HEADS,
        pattern=row.pattern,
        reach=WINDOW,
        keys=keys_for(RANDOM),
        configuration=row.configuration,
        layer=layer,
        seed=layer,
    )


def cell(name: str, depth: int, steps: int) -> Cell:
    """Train until everything is right or the steps are over -> accuracy (%) and its curve."""
    torch.manual_seed(SEED)
    model = Model(configured(ROWS[name], depth))
    TASK.initialise(model)
    loop = Loop(TASK, model, SEED, steps, "cpu")
    validation = sample(32, held_out(2))
    curve = [accuracy(loop.model, validation)]
    while loop.step < steps and curve[-1] < 100:
        loop.advance()
        if loop.step % EVERY == 0 or loop.step == steps:
            curve.append(accuracy(loop.model, validation))
    tests = sample(64, held_out(3))
    last = accuracy(loop.model, tests)
    return {"accuracy": last, "steps": loop.step, "curve": curve}


@torch.no_grad()
def accuracy(model: Model, batch: Batch) -> float:
    """Right answers in %."""
    return round(100 * TASK.figures(model(batch.pack), batch)["accuracy"], 2)


def cells(smoke: bool) -> dict[str, tuple[str, int, int]]:
    """All runs, shallow ones first."""
    return {
        f"{name} {depth}": (name, depth, 2 if smoke else TASK.recipe.steps)
        for depth in (DEPTHS[:1] if smoke else DEPTHS)
        for name in ROWS
    }


def report(found: dict[str, Cell], depths: tuple[int, ...]) -> str:
    """A row per pattern and configuration: ours, the ceiling, the recalled."""
    rows = []
    for name, row in ROWS.items():
        own = ["0.0", 1] if row is None else [f"{sparsity(row):.1f}", reach(row)]
        rows.append([name, *own, *(_text(found, name, row, depth) for depth in depths)])
    return table(["pattern", "sparsity", "reach", *(f"depth {d}" for d in depths)], rows)


def _text(found: dict[str, Cell], name: str, row: Row | None, depth: int) -> str:
    text = f"{found[f'{name} {depth}']['accuracy']:.2f}"
    if row is None:
        return text
    return f"{text}; {visible(row, depth):.0f}; *{row.recalled[depth - 1]:g}*"


def draw(found: dict[str, Cell], path: Path, depths: tuple[int, ...]) -> None:
    """Accuracy on held-out sequences over steps: a panel per row, a colour per depth."""
    made, axes = figure(3, 3, (13, 9))
    for axis, name in zip(axes, ROWS, strict=True):
        for depth in depths:
            own = found[f"{name} {depth}"]
            steps = [min(EVERY * i, own["steps"]) for i in range(len(own["curve"]))]
            axis.plot(steps, own["curve"], color=f"C{depth}", lw=1, label=f"depth {depth}")
        axis.set(title=name, ylim=(-3, 103))
    axes[0].legend()
    made.supxlabel("steps")
    made.supylabel("accuracy, %")
    made.savefig(path, dpi=120)


def main() -> None:
    """All runs, the table and the picture."""
    chosen = options("copying", __doc__)
    depths = DEPTHS[:1] if chosen.smoke else DEPTHS
    path = chosen.out / "copying.json"
    found = compute(path, cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "copying.png", depths)
    about = (__doc__ or "").strip()
    write(chosen.out / "copying.md", "Copying by pattern", about, READING, report(found, depths))


if __name__ == "__main__":
    main()
