from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint import Checkpoint
from models.pack import Pack
from models.sumformer import Sumformer
from models.tasks import load_task
from models.tasks.digit_sum import DigitSum
from models.tasks.task import Recipe
from models.training import train


class Scripted(DigitSum):
    """A task whose validation scores are given: the best is the second of three."""

    recipe = Recipe(steps=30, learning_rate=1e-2, evaluate_every=10)

    def __init__(self) -> None:
        self.scores = iter([1.0, 3.0, 2.0])
        self.seen: list[dict[str, Tensor]] = []

    def validate(self, model: Sumformer) -> dict[str, float]:
        self.seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"score": next(self.scores)}


def test_the_best_validated_step_is_kept(tmp_path: Path) -> None:
    task = Scripted()
    train(task, tmp_path)
    kept = Checkpoint.load(tmp_path).model.state_dict()
    assert all(torch.equal(kept[k], task.seen[1][k]) for k in kept)
    assert not all(torch.equal(kept[k], task.seen[2][k]) for k in kept)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(load_task("digit_sum"), tmp_path / name, seed=seed, steps=20)
        states.append(Checkpoint.load(tmp_path / name).model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_metrics_are_json_lines_ending_with_the_test(tmp_path: Path) -> None:
    figures = train(load_task("digit_sum"), tmp_path, steps=20)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines] == ["validation", "test"]
    assert {k: lines[-1][k] for k in figures} == figures


def test_training_learns(tmp_path: Path) -> None:
    task = load_task("digit_sum")
    train(task, tmp_path, steps=600)
    model = Checkpoint.load(tmp_path).model
    pack, target = task.batch(torch.Generator().manual_seed(0))
    assert isinstance(pack, Pack)
    with torch.no_grad():
        assert task.loss(model(pack), target) < 0.05 * target.square().mean()
