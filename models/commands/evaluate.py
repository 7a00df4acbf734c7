"""Figures of a checkpoint on a task's data or on your own, as one JSON line.

    sumserve evaluate build/checkpoints/digits
    sumserve evaluate build/checkpoints/digits --task digits --split validation
    sumserve evaluate build/checkpoints/polynomial --option n=5
    sumserve evaluate build/checkpoints/events --data events/ --columns events.toml --split all

Without --task or --data it is the task that the checkpoint was trained on, with the options it was
trained with unless --option says otherwise. Tests with longer sequences than the model takes are
left out. Data are read as the checkpoint's own columns say: with its vocabularies, labels and
widths. Files that are not named train, validation or test are split as they were in training, by
the checkpoint's seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from models.commands.train import add_data_arguments, add_option_argument, refused

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from models.signature import Signature

SUMMARY = "measure a checkpoint on a task or on your own data"


class EvaluationError(Exception):
    """What was asked for cannot be measured; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, on what."""
    from models.tasks import TASKS

    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint folder")
    parser.add_argument("--task", choices=TASKS, metavar="TASK", help="default: its name")
    add_data_arguments(parser)
    add_option_argument(parser)
    splits = ("train", "validation", "test", "all")
    parser.add_argument("--split", choices=splits, default="test", help="default: test")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    from models.checkpoint import Checkpoint, CheckpointError
    from models.data.spec import DataError
    from models.training.run import TrainingError, usable

    try:
        checkpoint = Checkpoint.load(args.checkpoint)
        checkpoint.model.to(usable(args.device))
        figures = _figures(args, checkpoint)
    except (CheckpointError, DataError, TrainingError, EvaluationError) as error:
        return refused("evaluate", error)
    told = {"checkpoint": str(args.checkpoint), "split": args.split}
    print(json.dumps({**told, **figures}))
    return 0


def _figures(args: argparse.Namespace, checkpoint: Checkpoint) -> dict[str, float]:
    if (args.data is None) != (args.columns is None):
        raise EvaluationError("--data and --columns go together")
    if args.data is not None and args.task is not None:
        raise EvaluationError("give --task, or --data and --columns")
    if args.data is not None and args.option:
        raise EvaluationError("--option is for a task of ours; your own data have a TOML file")
    measure = _on_task if args.data is None else _on_data
    try:
        return measure(args, checkpoint)
    except ValueError as error:  # such as a length that the model does not take
        raise EvaluationError(f"{args.checkpoint}: {error}") from error


def _on_task(args: argparse.Namespace, checkpoint: Checkpoint) -> dict[str, float]:
    from models.tasks import TASKS, load_task
    from models.training.evaluation import evaluate, figures_of_tests

    name = args.task or checkpoint.card.task
    if name not in TASKS:
        raise EvaluationError("trained on no task of ours: give --task, or --data and --columns")
    options = checkpoint.card.options if name == checkpoint.card.task else {}
    task = load_task(name, {**options, **dict(args.option or ())})
    if _read_and_answered(checkpoint.card.model.signature) != _read_and_answered(task.signature):
        raise EvaluationError(f"{args.checkpoint}: its columns or outputs are not those of {name}")
    if args.split == "test":
        return figures_of_tests(task, checkpoint.model, args.device)
    if args.split == "validation":
        return evaluate(task, checkpoint.model, task.validation(), args.device)
    raise EvaluationError(f"a task's splits are validation and test, not {args.split}")


def _read_and_answered(shape: Signature) -> tuple[object, ...]:
    """What a task and a model must have in common; scales are the model's, answers are in units."""
    unscaled = {"scale": (), "offset": ()}
    outputs = tuple(output.model_copy(update=unscaled) for output in shape.outputs)
    return shape.columns, shape.context, outputs


def _on_data(args: argparse.Namespace, checkpoint: Checkpoint) -> dict[str, float]:
    from models.data.dataset import load_split
    from models.training.evaluation import figures_of_tests

    card = checkpoint.card
    task = load_split(args.data, args.columns, card.seed, args.split, card.model.signature)
    return figures_of_tests(task, checkpoint.model, args.device)
