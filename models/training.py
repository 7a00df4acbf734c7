"""One seeded training loop for every task: AdamW, one-cycle rate, best validation step kept."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from models.checkpoint import Card, Checkpoint
from models.sumformer import Sumformer
from models.tasks.task import Task

METRICS = "metrics.jsonl"


def train(task: Task, folder: Path, seed: int = 0, steps: int | None = None) -> dict[str, float]:
    """Train a task's model, save the best checkpoint and metrics.jsonl, return the test figures."""
    torch.manual_seed(seed)
    model = Sumformer(task.config)
    task.fit(model)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with (folder / METRICS).open("w") as metrics:
        model.load_state_dict(_optimise(task, model, seed, steps or task.recipe.steps, metrics))
        figures = _evaluate(task.test, model)
        seconds = round(time.perf_counter() - started, 1)
        _log(metrics, split="test", seed=seed, seconds=seconds, **figures)
    card = Card(
        name=task.name,
        task=task.kind,
        labels=task.labels,
        trained_lengths=task.trained_lengths,
        seed=seed,
        model=task.config,
    )
    Checkpoint(card, model).save(folder)
    return figures


def _optimise(
    task: Task, model: Sumformer, seed: int, steps: int, metrics: Any
) -> dict[str, Tensor]:
    """Run the steps; the weights of the best validated one."""
    recipe = task.recipe
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
    rate = OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, final_div_factor=1e3)
    generator = torch.Generator().manual_seed(seed)
    best, kept = float("-inf"), model.state_dict()
    for step in tqdm(range(1, steps + 1), desc=f"train {task.name}", unit="step"):
        loss = _step(task, model, optimiser, generator)
        rate.step()
        if step % recipe.evaluate_every == 0 or step == steps:
            figures = _evaluate(task.validate, model)
            _log(metrics, split="validation", step=step, train_loss=loss.item(), **figures)
            if not math.isfinite(figures["score"]):
                raise FloatingPointError(f"training diverged: {figures} at step {step}")
            if figures["score"] > best:
                best, kept = figures["score"], copy.deepcopy(model.state_dict())
    return kept


def _step(
    task: Task, model: Sumformer, optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> Tensor:
    pack, target = task.batch(generator)
    loss = task.loss(model(pack), target)
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    return loss


def _evaluate(figures_of: Any, model: Sumformer) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        figures: dict[str, float] = figures_of(model)
    model.train()
    return figures


def _log(metrics: Any, **line: Any) -> None:
    metrics.write(json.dumps(line) + "\n")
    metrics.flush()
