"""Train a task's model and write its checkpoint: config.json, model.safetensors, metrics.jsonl.

    sumserve train digits --out build/checkpoints/digits

Tasks: digits (8x8 images as sets of pixels, about 2 minutes), polynomial (Figure 2 of the
Sumformer paper, about 1 minute), digit_sum (sums of sets of digits, half a minute); on 2 cores.
The same seed gives the same checkpoint on the same machine. The step that did best on validation
data is kept; test figures are printed once, at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SUMMARY = "train a task's model and write its checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, and where to."""
    from models.tasks import TASKS

    about = "; ".join(f"{name}: {what}" for name, what in TASKS.items())
    parser.add_argument("task", choices=TASKS, help=about)
    parser.add_argument("--out", type=Path, help="folder (default: build/checkpoints/TASK)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--steps", type=_positive, help="optimiser steps (default: the task's own)")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def run(args: argparse.Namespace) -> int:
    """Train, save, print the test figures as one JSON line."""
    from models.tasks import load_task
    from models.training import train

    folder = args.out or Path("build/checkpoints") / args.task
    figures = train(load_task(args.task), folder, args.seed, args.steps)
    print(json.dumps({"task": args.task, "seed": args.seed, "checkpoint": str(folder), **figures}))
    return 0
