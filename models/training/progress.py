"""What a training run tells: a bar on a terminal, metrics.jsonl, and a picture of its curve."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

METRICS = "metrics.jsonl"
Line = dict[str, Any]


class Progress:
    """Writes lines of metrics as they come; ``lines`` are those of before a resumption."""

    def __init__(self, folder: Path, title: str, steps: int, lines: Sequence[Line]) -> None:
        self.lines = list(lines)
        self._file = (folder / METRICS).open("w")
        self._file.writelines(json.dumps(line) + "\n" for line in self.lines)
        last = self.lines[-1] if self.lines else {"seconds": 0.0, "step": 0}
        self._began = time.perf_counter() - last["seconds"]
        self._bar = tqdm(total=steps, initial=last["step"], desc=title, unit="step", disable=None)
        self._restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._file.close()

    def stepped(self, loss: float, tokens: int) -> None:
        """Count a step."""
        self._losses.append(loss)
        self._tokens += tokens
        self._bar.update()
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {loss:.4g}, {self._rate():.3g} tokens/s", False)

    def summarise(self, step: int) -> None:
        """Write the line of the steps since the last one: their mean loss and their speed."""
        loss = sum(self._losses) / max(1, len(self._losses))
        self.write("train", step, loss=loss, tokens_per_second=round(self._rate(), 1))

    def write(self, split: str, step: int, **figures: Any) -> None:
        """Write a line; the time until the next step is no step's."""
        seconds = round(time.perf_counter() - self._began, 3)
        self.lines.append({"split": split, "step": step, "seconds": seconds, **figures})
        self._file.write(json.dumps(self.lines[-1]) + "\n")
        self._file.flush()
        self._restart()

    def _restart(self) -> None:
        self._losses: list[float] = []
        self._tokens, self._since = 0, time.perf_counter()

    def _rate(self) -> float:
        return self._tokens / max(1e-9, time.perf_counter() - self._since)


def draw_curve(lines: Sequence[Line], path: Path, title: str) -> None:
    """A PNG of the training loss and the validation score against the step."""
    from matplotlib.figure import Figure  # no pyplot: no backend is chosen, no state is left

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, split, key in zip(axes, ("train", "validation"), ("loss", "score"), strict=True):
        drawn = [line for line in lines if line["split"] == split]
        axis.plot([line["step"] for line in drawn], [line[key] for line in drawn], marker=".")
        axis.set_ylabel(f"{split} {key}")
        axis.grid(alpha=0.3)
    axes[0].set_title(title)
    if all(line["loss"] > 0 for line in lines if line["split"] == "train"):
        axes[0].set_yscale("log")
    axes[1].set_xlabel("step")
    figure.savefig(path, dpi=120)
