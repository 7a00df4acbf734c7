"""A model's figures on data of any size: worked off in parts, judged as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from models.model import Model
from models.pack import Pack
from models.tasks.task import Batch, Task
from models.training.budget import TOKENS, parts


def answer(
    model: Model, pack: Pack, device: torch.device | str = "cpu", tokens: int = TOKENS
) -> dict[str, Tensor]:
    """Outputs of every sequence, name -> (T, width) or (N, width), on the CPU.

    At most ``tokens`` tokens (or one longer sequence) are on the device at once.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        found = [model(part.to(device)) for part in parts(pack, tokens)]
    model.train(training)
    return {name: torch.cat([part[name].cpu() for part in found]) for name in found[0]}


def evaluate(
    task: Task, model: Model, batch: Batch, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """The task's figures of a model on a batch."""
    return task.figures(answer(model, batch.pack, device), batch)


def figures_of_tests(
    task: Task, model: Model, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Figures of every test of the task; ``accuracy_at_100`` is the accuracy of test "100".

    Tests with longer sequences than the model takes are left out; ValueError names them where
    there is no other.
    """
    found: dict[str, float] = {}
    longest, tests = model.config.signature.max_length, task.tests()
    lengths = {name: int(batch.pack.lengths.max()) for name, batch in tests.items()}
    fitting = [name for name in tests if longest is None or lengths[name] <= longest]
    if tests and not fitting:
        left = ", ".join(f"{name or 'test'} ({n:,} tokens)" for name, n in lengths.items())
        raise ValueError(
            f"every test has longer sequences than the {longest} tokens that the model takes: "
            + left
        )
    for name in fitting:
        batch = tests[name]
        suffix = f"_at_{name}" if name else ""
        figures = evaluate(task, model, batch, device)
        found |= {figure + suffix: value for figure, value in figures.items()}
    return found
