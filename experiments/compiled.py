"""Trained Sumformers compiled into four architectures: equality, size and speed.

`models.compile` writes a Sumformer's function into the weights of another architecture, with one
attention layer per Sumformer layer, two where attention is star-sparse (Theorems 4.3 to 4.5). Three
shipped checkpoints, into every architecture, for sequences of n tokens: the relative L2 difference
from the original's answer in float64, of the compiled model in float64 and in float32, and beside
it that of the original in float32. Time is that of a forward pass over one sequence in float32, on
one thread, the median of passes of both models in turn.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any, get_args

import torch
from torch import Tensor

from experiments.cells import Cell, compute, options
from experiments.tables import figure, table, write
from models.checkpoint import Checkpoint
from models.compile import CompileError, Into, compile_sumformer
from models.embedding import Standardised
from models.model import Model
from models.pack import Pack
from models.tasks.polynomial import relative_error

CHECKPOINTS = Path(__file__).parents[1] / "models" / "checkpoints"
ORIGINALS = ("digit_sum", "digits", "polynomial")
TARGETS: tuple[Into, ...] = get_args(Into)
LENGTHS, SMOKE_LENGTHS = (1, 2, 16, 256, 4096), (1, 16)
PASSES, SMOKE_PASSES = 15, 1
Original = tuple[Model, Model]  # in float64 and in float32


def cell(checkpoint: str, into: Into, lengths: tuple[int, ...], passes: int) -> Cell:
    """One checkpoint into one architecture; timed at the last length."""
    torch.manual_seed(0)  # a compiled Performer's features are drawn, and do not matter
    originals = _load(checkpoint).double(), _load(checkpoint)
    errors: dict[str, list[float]] = {}
    try:
        for n in lengths:
            made = compile_sumformer(originals[0], into, n)
            sizes = {"layers": len(made.config.blocks), "parameters": _sizes(originals[0], made)}
            errors[str(n)], times = _compared(originals, made, n, passes * (n == lengths[-1]))
    except CompileError as reason:
        return {"refused": str(reason)}
    return {**sizes, "errors": errors, "milliseconds": times}


def _load(checkpoint: str) -> Model:
    return Checkpoint.load(CHECKPOINTS / checkpoint).model


def _sizes(*models: Model) -> list[int]:
    return [sum(p.numel() for p in model.parameters()) for model in models]


@torch.no_grad()
def _compared(
    originals: Original, made: Model, n: int, passes: int
) -> tuple[list[float], list[float]]:
    """Errors: compiled in float64, in float32, original in float32; and times of both."""
    wide, narrow = _sequence(originals[0], n)
    wanted = _answer(originals[0], wide)
    answers = [_answer(made, wide)]
    made = made.float()
    answers += [_answer(made, narrow), _answer(originals[1], narrow)]
    errors = [float(f"{relative_error(a.double(), wanted).item():.3g}") for a in answers]
    return errors, _times([originals[1], made], narrow, passes)


def _sequence(model: Model, n: int) -> tuple[Pack, Pack]:
    """One sequence with the mean and deviation of training data, in float64 and in float32."""
    (name,), (column,) = model.embed.columns.names, model.embed.columns.columns
    assert isinstance(column, Standardised)
    tokens = torch.randn(n, column.width, generator=torch.Generator().manual_seed(n))
    tokens, lengths = tokens * column.std.float() + column.mean.float(), torch.tensor([n])
    narrow = Pack({name: tokens}, lengths)
    return narrow.double(), narrow


def _answer(model: Model, pack: Pack) -> Tensor:
    (answer,) = model(pack).values()
    assert isinstance(answer, Tensor)
    return answer


def _times(models: list[Model], pack: Pack, passes: int) -> list[float]:
    seen: list[list[float]] = [[] for _ in models]
    for _ in range(passes):
        for model, times in zip(models, seen, strict=True):
            began = time.perf_counter()
            model(pack)
            times.append(1e3 * (time.perf_counter() - began))
    return [round(median(times), 3) for times in seen if times]


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """Every original into every architecture."""
    asked = (SMOKE_LENGTHS, SMOKE_PASSES) if smoke else (LENGTHS, PASSES)
    return {f"{name} {into}": (name, into, *asked) for name in ORIGINALS for into in TARGETS}


def report(found: dict[str, Cell], smoke: bool) -> list[str]:
    """What compiled, how exactly, and what did not and why."""
    made = {name: one for name, one in found.items() if "refused" not in one}
    refused = {name.split()[0]: one["refused"] for name, one in found.items() if "refused" in one}
    lengths = SMOKE_LENGTHS if smoke else LENGTHS
    header = ["checkpoint, into", *(f"n = {n}" for n in lengths)]
    return [
        "## Relative difference: compiled in float64; in float32 (the original in float32)",
        table(
            header, ([name, *map(_errors, one["errors"].values())] for name, one in made.items())
        ),
        f"## Size, and time at n = {lengths[-1]}",
        table(SIZES, ([name, *_size(one)] for name, one in made.items())),
        "## Not compiled",
        "\n".join(f"- {name}: {reason}" for name, reason in refused.items()),
    ]


SIZES = ["checkpoint, into", "attention layers", "parameters, original", "compiled"]
SIZES += ["ms, original", "compiled", "ratio"]


def _errors(errors: list[float]) -> str:
    wide, narrow, own = errors
    return f"{wide:.1e}; {narrow:.1e} ({own:.1e})"


def _size(one: Cell) -> list[Any]:
    before, after = one["milliseconds"]
    return [one["layers"], *one["parameters"], before, after, f"{after / before:.1f}"]


def draw(found: dict[str, Cell], path: Path) -> None:
    """Errors over n for each checkpoint, then how many times longer the compiled one takes."""
    names = list(dict.fromkeys(k.split()[0] for k, one in found.items() if "refused" not in one))
    made, axes = figure(1, len(names) + 1, (5 * len(names) + 5, 4))
    for axis, name in zip(axes, names, strict=False):
        for i, into in enumerate(TARGETS):
            errors = found[f"{name} {into}"]["errors"]
            wide, narrow, _ = zip(*errors.values(), strict=True)
            lengths = [int(n) for n in errors]
            style = {"color": f"C{i}", "marker": "osD^"[i], "fillstyle": "none"}
            axis.loglog(lengths, narrow, "-", label=f"{into}, float32", **style)
            axis.loglog(lengths, wide, ":", label=f"{into}, float64", **style)
        axis.set(title=name, xlabel="n", ylim=(1e-17, 1e-3))
    axes[0].set_ylabel("relative difference from the original")
    axes[0].legend(fontsize=8, ncols=2)
    _bars(axes[-1], found, names)
    made.savefig(path, dpi=120)


def _bars(axis: Any, found: dict[str, Cell], names: list[str]) -> None:
    for i, name in enumerate(names):
        times = [found[f"{name} {into}"]["milliseconds"] for into in TARGETS]
        places = [place + 0.4 * (i - (len(names) - 1) / 2) for place in range(len(TARGETS))]
        ratios = [after / before for before, after in times]
        bars = axis.bar(places, ratios, 0.38, label=name)
        axis.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios])
    axis.set_xticks(range(len(TARGETS)), TARGETS)
    axis.set(title="time, compiled / original, at the longest n")
    axis.margins(y=0.1)
    axis.legend()


READING = """\
The theorems hold to the last digits: in float64 the difference is rounding, for every n up to
4,096, and in float32 it is that of the original itself, or a few times that in a Performer. So the
proofs are programs, for trained weights too. They are no way to run a Sumformer. Every token
carries [1 | h | phi(h) | Sigma] through dense maps, and the identity takes two rows per number; a
stack pays for it most, as the next layer's phi is computed in the same step. And these are made for
one n each, as it is n that turns attention's mean into a sum, or stands for log n."""


def main() -> None:
    """All cells, the tables and the picture; one at a time, so that none slows another's passes."""
    chosen = options("compiled", __doc__)
    found = compute(chosen.out / "compiled.json", cells(chosen.smoke), cell, workers=1)
    draw(found, chosen.out / "compiled.png")
    about, text = (__doc__ or "").strip(), report(found, chosen.smoke)
    write(chosen.out / "compiled.md", "Compiled Sumformers", about, *text, READING)


if __name__ == "__main__":
    main()
