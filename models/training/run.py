"""One seeded training run for every task and architecture; the best validated weights are kept.

A run that was stopped goes on from training.pt, written before the first step and after every
validation, to the very weights it would have reached.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict
from pathlib import Path

import torch

from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.reason import reason
from models.tasks.task import Task
from models.training.evaluation import evaluate, figures_of_tests
from models.training.loop import Loop, State
from models.training.model_card import write_model_card
from models.training.progress import Progress, draw_curve

UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError)
STATE, CURVE = "training.pt", "curve.png"
WHAT = {"recipe": "settings of the training", "model": "settings of the model", "data": "data"}


class TrainingError(Exception):
    """What was asked for cannot be trained; the message says why."""


def train(
    task: Task,
    architecture: str,
    folder: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> dict[str, float]:
    """Train an architecture on a task and return its test figures.

    Writes the best checkpoint, metrics.jsonl and curve.png into ``folder``; training.pt lies there
    until the run is over. Raises TrainingError when there is no such model, device, folder or run
    to resume, or a stopped one in the way, FloatingPointError naming the step when training
    diverges.
    """
    steps = steps or task.recipe.steps
    if not resume:
        _make(folder)
    torch.manual_seed(seed)
    loop = Loop(task, _model(task, architecture), seed, steps, usable(device))
    run = _identity(task, architecture, seed, steps, loop.model)
    if resume:
        state = _read(folder / STATE, run)
        loop.restore(state["loop"])
    else:
        state = {"run": run, "lines": [], "loop": loop.state()}
        _save(folder / STATE, state)
    title = f"{task.name}, {architecture}"
    with Progress(folder, f"train {title}", steps, state["lines"]) as progress:
        _optimise(loop, steps, progress, folder / STATE, run)
        figures = _finish(loop, folder, seed, steps)
        progress.write("test", loop.kept_at, seed=seed, **figures)
    draw_curve(progress.lines, folder / CURVE, title)
    (folder / STATE).unlink()
    return figures


def build_model(task: Task, architecture: str) -> Model:
    """An untrained model that knows its inputs' statistics. ValueError when there can be none."""
    model = Model(task.config(architecture))
    model.fit(task.fitting())
    task.initialise(model)
    return model


def _model(task: Task, architecture: str) -> Model:
    try:
        return build_model(task, architecture)
    except ValueError as error:
        raise TrainingError(f"{task.name}, {architecture}: {reason(error)}") from error


def _make(folder: Path) -> None:
    """Before anything else is done, so that nothing is done in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise TrainingError(f"{folder}: not writable")
    if (folder / STATE).exists():
        raise TrainingError(f"{folder / STATE}: a stopped run; go on with --resume, or remove it")


def usable(device: str) -> str:
    """The device, if there is one of that name; TrainingError says why not."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"device {device!r}: {str(error).splitlines()[0]}") from error
    return device


def _optimise(loop: Loop, steps: int, progress: Progress, path: Path, run: State) -> None:
    """Step and validate until the end, or until the recipe's patience has run out."""
    validation = loop.task.validation()
    while loop.step < steps and not loop.exhausted:
        progress.stepped(*loop.advance())
        if loop.step % loop.task.recipe.evaluate_every == 0 or loop.step == steps:
            progress.summarise(loop.step)
            figures = evaluate(loop.task, loop.model, validation, loop.device)
            score = loop.task.score(figures)
            progress.write("validation", loop.step, score=score, **figures)
            loop.judge(score)
            _save(path, {"run": run, "lines": progress.lines, "loop": loop.state()})


def _finish(loop: Loop, folder: Path, seed: int, steps: int) -> dict[str, float]:
    """Save the best weights, test them, and write the model card."""
    task, model = loop.task, loop.model
    model.load_state_dict(loop.kept)
    lengths = task.trained_lengths
    name = model.config.architecture
    card = Card(
        name=task.name if name == task.architecture else f"{task.name}-{name}",
        task=task.name,
        options=dict(task.options),
        trained_lengths=lengths,
        seed=seed,
        model=model.config,
    )
    Checkpoint(card, model).save(folder)
    figures = figures_of_tests(task, model, loop.device)
    write_model_card(folder, task, Checkpoint(card, model), figures, steps)
    return figures


def _identity(task: Task, architecture: str, seed: int, steps: int, model: Model) -> State:
    """What a run must have in common with the one it resumes."""
    return {
        "task": task.name,
        "options": dict(task.options),
        "architecture": architecture,
        "seed": seed,
        "steps": steps,
        "recipe": asdict(task.recipe),
        "data": task.fingerprint,
        "model": model.config.model_dump_json(),
    }


def _save(path: Path, state: State) -> None:
    """Whole or not at all: a run may be stopped while it writes."""
    unfinished = path.with_suffix(".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def _read(path: Path, run: State) -> State:
    try:
        read = torch.load(path, map_location="cpu", weights_only=True)
        state: State = {part: read[part] for part in ("run", "lines", "loop")}
        begun = {key: state["run"][key] for key in run}
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: there is no stopped run to resume") from error
    except (*UNREADABLE, KeyError, TypeError, IndexError) as error:
        raise TrainingError(f"{path}: not the state of a run") from error
    for key in ("task", "options", "architecture", "seed", "steps"):
        if begun[key] != run[key]:
            raise TrainingError(f"{path}: the run's {key} is {begun[key]!r}, not {run[key]!r}")
    for key in ("recipe", "model", "data"):
        if begun[key] != run[key]:
            raise TrainingError(f"{path}: the run was begun with other {WHAT[key]}")
    return state
