"""Train a model on a task, or on your own data, and write its checkpoint.

    sumserve train digits --out build/checkpoints/digits
    sumserve train polynomial --architecture performer --option n=5 --option d=3
    sumserve train digits --architecture linformer --model blocks=4 --model layer.sharing=layerwise
    sumserve train --data events/ --columns events.toml --out build/checkpoints/events
    sumserve train --list

Written to the folder: config.json and model.safetensors (the step that did best on validation
data), README.md (the model card), metrics.jsonl, curve.png; until the run is over training.pt, from
which it goes on with --resume. The same seed gives the same checkpoint on the same machine. Test
figures are printed once, at the end.

--model sets width, blocks, heads, aggregation, positional, position, reach, features, points, cells
or degree, and as layer.FIELD any field of the mixing layers' own configuration, such as rotary, a
Linformer's sharing or a sparse pattern's configuration. A checkpoint's config.json shows them all.

Your own data are Parquet or Arrow files: one row per sequence, list columns for what is per token.
A folder may hold train, validation and test.parquet (.arrow, .feather), or any files, which are
then split 80/10/10 by the seed.
Rows in error messages are counted from 0, in the file they name.
The TOML file says what the columns mean:

    name = "churn"
    max_length = 5000             # longer rows are refused; without it there is no limit
    [columns.amount]              # kinds: numeric, ids, time, vector
    kind = "numeric"
    from = "amt"                  # the column's name in the file, where it differs
    log = true
    missing = "flag"
    [context.age]                 # one value per sequence
    kind = "numeric"
    [outputs.risk]
    kind = "classification"       # or regression
    per = "sequence"              # or token
    [model]                       # architecture, and all that --model sets
    architecture = "performer"
    [model.layer]                 # what --model sets as layer.FIELD
    rotary = true
    [training]                    # tokens (per batch), learning_rate, weight_decay, clip, patience,
    steps = 2000                  # evaluate_every

Every column takes from; a numeric one log, standardise, missing (refuse or flag) and clip, ids low
and high, or most of strings, and unknown, a time shortest and longest, a classification labels.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.tasks.task import Task

SUMMARY = "train a model on a task or on your own data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, and where to."""
    from models.tasks import TASKS

    parser.add_argument("task", nargs="?", choices=TASKS, metavar="TASK", help="see --list")
    add_data_arguments(parser)
    parser.add_argument("--architecture", help="default: the task's own; see --list")
    add_option_argument(parser)
    parser.add_argument(
        "--model", action="append", type=_setting, metavar="KEY=VALUE", help="of a task's model"
    )
    parser.add_argument("--out", type=Path, help="folder (default: build/checkpoints/NAME)")
    parser.add_argument("--seed", type=_seed, default=0, help="default: 0")
    parser.add_argument("--steps", type=_positive, help="optimiser steps (default: the task's own)")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--list", action="store_true", help="print tasks and architectures")


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """One's own data."""
    parser.add_argument("--data", type=Path, metavar="PATH", help="file, or folder of files")
    parser.add_argument("--columns", type=Path, metavar="TOML", help="what the columns mean")


def add_option_argument(parser: argparse.ArgumentParser) -> None:
    """What a task is told."""
    parser.add_argument(
        "--option", action="append", type=_option, metavar="NAME=N", help="of the task, as n=5"
    )


def run(args: argparse.Namespace) -> int:
    """Train, save, print the test figures as one JSON line."""
    if args.list:
        return _list()
    if (args.task is None) == (args.data is None) or (args.data is None) != (args.columns is None):
        return refused("train", "give a task, or --data and --columns")
    from models.data.spec import DataError
    from models.training.run import TrainingError

    try:
        print(json.dumps(_train(args)))
    except (DataError, TrainingError) as error:
        return refused("train", error)
    except FloatingPointError as error:
        return refused("train", error, 1)
    except KeyboardInterrupt as stop:
        return refused("train", str(stop) or "stopped", 130)
    return 0


def refused(command: str, why: object, code: int = 2) -> int:
    """One line on standard error; the exit code."""
    print(f"sumserve {command}: {why}", file=sys.stderr)
    return code


def _train(args: argparse.Namespace) -> dict[str, object]:
    from models.training.run import STATE, train

    task = _task(args)
    architecture = args.architecture or task.architecture
    task = _resized(task, architecture, dict(args.model or ()))
    folder = args.out or Path("build/checkpoints") / task.name
    try:
        figures = train(
            task,
            architecture,
            folder,
            seed=args.seed,
            steps=args.steps,
            resume=args.resume,
            device=args.device,
        )
    except KeyboardInterrupt as stop:
        if (folder / STATE).exists():
            stop.args = (f"stopped; the same command with --resume goes on from {folder / STATE}",)
        raise
    told = {"task": task.name, "architecture": architecture, "seed": args.seed}
    return {**told, "checkpoint": str(folder), **figures}


def _task(args: argparse.Namespace) -> Task:
    if args.task is not None:
        return _told_task(args.task, dict(args.option or ()))
    for flag in ("option", "model"):
        if getattr(args, flag):
            from models.training.run import TrainingError

            raise TrainingError(f"--{flag} is for a task of ours; your own data have a TOML file")
    from models.data.dataset import load_dataset

    return load_dataset(args.data, args.columns, args.seed)


def _told_task(name: str, options: dict[str, int]) -> Task:
    from models.tasks import load_task
    from models.training.run import TrainingError

    try:
        return load_task(name, options)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def _resized(task: Task, architecture: str, asked: dict[str, str]) -> Task:
    """The task with the model that was asked for, if anything was."""
    from models.tasks.sized import idle, sized
    from models.training.run import TrainingError

    if not asked:
        return task
    try:
        made = sized(task, asked)
    except ValueError as error:
        raise TrainingError(f"--model: {error}") from error
    if key := idle(made, task, architecture):
        raise TrainingError(
            f"--model: {key}={asked[key]} changes nothing of the {architecture} of {task.name}"
        )
    return made


def _list() -> int:
    from models.architectures import ARCHITECTURES
    from models.tasks import TASKS

    print("tasks:")
    for name, about in TASKS.items():
        print(f"  {name:14} {about}")
    print("architectures:")
    for name in ARCHITECTURES:
        print(f"  {name}")
    return 0


def _seed(text: str) -> int:
    value = _integer(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{value} is not in 0..{2**31 - 1}")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from error


def _option(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, _integer(value)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _positive(text: str) -> int:
    value = _integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value
