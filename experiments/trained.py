"""Tasks and architectures: what `sumserve train` reaches on test data, on one thread.

Every row is one seeded run of the command beside it, with the task's own recipe or the steps given;
the published figure stands beside it where the task has one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cells import Cell, compute, options
from experiments.tables import figure, table, write
from models.tasks import load_task
from models.tasks.histories import TESTED
from models.training.run import train

CHECKPOINTS = Path("build/checkpoints")


@dataclass(frozen=True, slots=True)
class Run:
    """One row: which figure is shown, and the published one with its source."""

    task: str
    architecture: str
    figure: str
    steps: int | None = None
    published: str = ""

    @property
    def key(self) -> str:
        """Name of the cell and of the checkpoint's folder."""
        return f"{self.task}-{self.architecture}" + (f"-{self.steps}" if self.steps else "")

    @property
    def command(self) -> str:
        """What repeats it."""
        steps = f" --steps {self.steps}" if self.steps else ""
        return f"`sumserve train {self.task} --architecture {self.architecture}{steps}`"


SHORT = 1_000
DIGITS = [
    Run("digits", architecture, "accuracy", SHORT)
    for architecture in (
        "sumformer",
        "deepsets",
        "pointnet",
        "set_transformer",
        "sumformer-polynomial",
        "transformer",
        "performer",
        "performer-relu",
        "linformer",
        "sparse-strided",
        "sparse-fixed",
        "sparse-star",
        "sparse-random",
        "sparse-window_global",
        "sparse-bigbird",
    )
]
MAXIMUM = {
    "pointnet": "0.1355 for max pooling (Set Transformer, Table 1)",
    "set_transformer": "0.2085 for SAB + PMA (Set Transformer, Table 1)",
    "sumformer": "",
    "deepsets": "",
}
MIXTURE = "-1.5009 for ISAB + PMA, -1.4726 for the true parameters (Set Transformer, Table 3)"
FIGURE_2 = "0.037 from 2,000 fixed points (Sumformer, Figure 2); ours sees fresh ones"
RUNS = [
    Run("digits", "sumformer", "accuracy"),
    *DIGITS,
    *(Run("max_regression", a, "mae", published=text) for a, text in MAXIMUM.items()),
    Run("polynomial", "sumformer", "relative_error", published=FIGURE_2),
    Run("polynomial", "sumformer-polynomial", "relative_error"),
    Run("polynomial", "sumformer-piecewise", "relative_error", SHORT),
    Run("digit_sum", "sumformer", "accuracy_at_100", published="about 1.0 at 5 to 95 (DeepSets)"),
    Run("sum_of_squares", "sumformer", "rmse"),
    Run("sort_rank", "sumformer", "rmse"),
    Run("centroid_distance", "sumformer", "relative_error"),
    Run("jets", "sumformer", "prong_accuracy"),
    Run("histories", "sumformer", "accuracy_at_10000"),
    Run("copying", "transformer", "accuracy"),
    Run("copying", "sparse-strided", "accuracy"),
    Run("listops", "transformer", "accuracy", published="0.364 at 500 to 2,000 tokens (LRA)"),
    Run("mixture_of_gaussians", "set_transformer", "log_likelihood", published=MIXTURE),
    Run("mixture_of_gaussians", "sumformer", "log_likelihood", 10 * SHORT),
    Run("mixture_of_gaussians", "performer", "log_likelihood", 10 * SHORT),
    Run("mixture_of_gaussians", "set_transformer", "log_likelihood", 10 * SHORT),
]
LONGEST = "histories-sumformer"
LONG = """\
## Histories by length

Simulated event histories, trained at log-normal lengths of median 200, none above 50,000: what is
read at other lengths, up to a million events."""


def cell(key: str, task: str, architecture: str, steps: int, made_of: str) -> Cell:
    """Train -> every test figure; the checkpoint stays in build/checkpoints.

    ``made_of`` is there so that a cell of another recipe or another model is not taken for it.
    """
    return {"figures": train(load_task(task), architecture, CHECKPOINTS / key, steps=steps)}


def wanted(smoke: bool) -> list[Run]:
    """All runs; the quick ones where it is only seen that it runs."""
    return [run for run in RUNS if not smoke or run.task in ("digit_sum", "polynomial")]


def cells(smoke: bool) -> dict[str, tuple[Any, ...]]:
    """The arguments of every run."""
    return {run.key: _arguments(run, smoke) for run in wanted(smoke)}


def _arguments(run: Run, smoke: bool) -> tuple[Any, ...]:
    task = load_task(run.task)
    steps = 2 if smoke else run.steps or task.recipe.steps
    made_of = repr(task.recipe) + task.config(run.architecture).model_dump_json()
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return run.key, run.task, run.architecture, steps, digest


def report(found: dict[str, Cell], smoke: bool) -> list[str]:
    """A row per run, and what long histories are read with."""
    rows: list[list[object]] = []
    for run in wanted(smoke):
        one = found[run.key]
        value = one["figures"][run.figure]
        rows.append([run.figure, value, run.published, f"{one['seconds']:.0f}", run.command])
    whole = table(["figure", "ours", "published", "seconds", "command"], rows)
    return [whole] if smoke else [whole, LONG, by_length(found[LONGEST]["figures"])]


def by_length(figures: dict[str, float]) -> str:
    """Accuracy and AUC of every tested length."""
    rows = [
        [f"{n:,}", histories, figures[f"accuracy_at_{n}"], figures[f"auc_at_{n}"]]
        for n, histories in TESTED.items()
    ]
    return table(["events", "histories", "accuracy", "AUC"], rows)


def draw(found: dict[str, Cell], path: Path, smoke: bool) -> None:
    """One task over architectures, all trained for equally many steps."""
    runs = wanted(True) if smoke else DIGITS
    made, axes = figure(1, 1, (8, 4))
    values = [found[run.key]["figures"][run.figure] for run in runs]
    axes[0].barh([run.key for run in runs], values)
    axes[0].set(xlabel=f"{runs[0].figure} after as many steps", xlim=(min(values) * 0.98, None))
    made.savefig(path, dpi=120)


def main() -> None:
    """All runs, the table and the picture."""
    chosen = options("trained", __doc__)
    found = compute(chosen.out / "trained.json", cells(chosen.smoke), cell, chosen.workers)
    draw(found, chosen.out / "trained.png", chosen.smoke)
    about = (__doc__ or "").strip()
    write(chosen.out / "trained.md", "Trained", about, *report(found, chosen.smoke))


if __name__ == "__main__":
    main()
