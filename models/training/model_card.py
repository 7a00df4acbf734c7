"""The model card beside a checkpoint: README.md, for people who find the folder by itself."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping
from pathlib import Path

import torch

from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import Output, Signature
from models.tasks import TASKS
from models.tasks.task import Task

NAME = "README.md"


def write_model_card(
    folder: Path, task: Task, made: Checkpoint, figures: Mapping[str, float], steps: int
) -> None:
    """Write what the model is, what it was trained on for how many steps, and how well it does."""
    card, model, shape = made.card, made.model, made.card.model.signature
    parts = [
        f"# {card.name}: {card.model.architecture}",
        _about(task),
        "## The model",
        _list(_model(card, model)),
        "## Reads and answers",
        _list(_columns(shape)),
        "## Figures on test data",
        _figures(figures),
        "## Made by",
        _command(card, task, steps),
        f"torch {torch.__version__}; metrics.jsonl and curve.png show the run."
        + (" Apache-2.0." if task.name in TASKS else ""),
    ]
    (folder / NAME).write_text("\n\n".join(part for part in parts if part) + "\n")


def _command(card: Card, task: Task, steps: int) -> str:
    parts = [
        card.task if card.task in TASKS else "--data ... --columns ...",
        f"--architecture {card.model.architecture} --seed {card.seed}",
        *(f"--option {name}={value}" for name, value in card.options.items()),
        *(f"--model {shlex.quote(f'{key}={text}')}" for key, text in task.asked_model.items()),
        *([f"--steps {steps}"] if steps != task.recipe.steps else []),
    ]
    return "    sumserve train " + " ".join(parts)


def _about(task: Task) -> str:
    """What the task's module says of itself: where the data come from, and whether simulated."""
    if task.name not in TASKS:
        return "Trained on data of its owner's."
    module = inspect.getmodule(type(task))
    return inspect.cleandoc((module.__doc__ if module else None) or "")


def _model(card: Card, model: Model) -> list[str]:
    kinds = [block.mixing.kind for block in card.model.blocks]
    mixing = f"{len(kinds)} x {kinds[0]}" if len(set(kinds)) == 1 else ", ".join(kinds)
    parameters = sum(p.numel() for p in model.parameters())
    order = "does not matter" if model.equivariant else "matters"
    lengths = card.trained_lengths
    return [
        f"mixing layers: {mixing or 'none: a pooled model, any length in one pass'}",
        f"parameters: {parameters:,}; the order of tokens {order}",
        f"sequences of {_lengths(card.model.signature)} tokens"
        + (f"; trained on {lengths[0]} to {lengths[1]}" if lengths else ""),
    ]


def _lengths(shape: Signature) -> str:
    if shape.max_length is None:
        return f"{shape.min_length} or more"
    return f"{shape.min_length} to {shape.max_length}"


def _columns(shape: Signature) -> list[str]:
    columns = [f"column `{c.name}`: {c.kind}" for c in shape.columns]
    context = [f"context `{c.name}`: {c.kind}" for c in shape.context]
    return [*columns, *context, *(_output(output) for output in shape.outputs)]


def _output(output: Output) -> str:
    labels = f" ({', '.join(output.labels)})" if output.labels else ""
    numbers = f"{output.width} number{'s' if output.width > 1 else ''}"
    return f"output `{output.name}`: {output.kind}{labels}, {numbers} per {output.per}"


def _figures(figures: Mapping[str, float]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in figures.items()]
    return "\n".join(["| figure | value |", "| --- | --- |", *rows])


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
