"""An experiment as cells: worked off by processes of one thread, saved one by one, resumable."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"
Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What every experiment is asked on the command line."""

    smoke: bool
    workers: int
    out: Path


def options(name: str, about: str | None) -> Options:
    """Read --smoke, --workers and --out; a smoke run writes elsewhere and takes seconds."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}", description=about)
    parser.add_argument("--smoke", action="store_true", help="tiny budgets, to see that it runs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="folder (default: experiments/results)")
    args = parser.parse_args()
    return Options(args.smoke, args.workers, args.out or _folder(args.smoke))


def _folder(smoke: bool) -> Path:
    return Path("build/experiments") if smoke else RESULTS


def compute(
    path: Path, wanted: Mapping[str, tuple[Any, ...]], function: Callable[..., Cell], workers: int
) -> dict[str, Cell]:
    """``function(*arguments)`` for every cell that ``path`` does not hold yet; all cells in order.

    A cell that was computed with other arguments, such as another budget, is computed again.

    ``function`` must be a module's own, so that another process finds it. A cell is saved as soon
    as it is there, with the seconds it took, unless it says so itself; what one raises is raised
    when all others are done.
    """
    done: dict[str, Cell] = json.loads(path.read_text())["cells"] if path.exists() else {}
    asked = {key: plain(arguments) for key, arguments in wanted.items()}
    done = {key: cell for key, cell in done.items() if cell.get("arguments") == asked.get(key)}
    todo = {key: arguments for key, arguments in wanted.items() if key not in done}
    path.parent.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
        runs = {pool.submit(_timed, function, *args): key for key, args in todo.items()}
        for run in tqdm(as_completed(runs), path.stem, total=len(runs), unit="cell"):
            if run.exception() is None:
                key = runs[run]
                done[key] = {"arguments": asked[key], **run.result()}
                _save(path, {key: done[key] for key in wanted if key in done})
    for run in runs:
        run.result()  # raises what a cell raised, now that all others are saved
    return {key: done[key] for key in wanted}


def plain(arguments: tuple[Any, ...]) -> Any:
    """Arguments as JSON gives them back."""
    return json.loads(json.dumps(arguments, default=asdict))


def _timed(function: Callable[..., Cell], *arguments: Any) -> Cell:
    began = time.perf_counter()
    found = function(*arguments)
    return {"seconds": round(time.perf_counter() - began, 1), **found}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _save(path: Path, cells: Mapping[str, Cell]) -> None:
    made = {
        "command": f"python -m experiments.{path.stem}",
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, one thread per cell",
        "seconds": round(sum(cell["seconds"] for cell in cells.values()), 1),
        "cells": cells,
    }
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(made, indent=1) + "\n")
    os.replace(unfinished, path)
