"""What ships in models/checkpoints: every architecture, small, with a card that tells the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.architectures import ARCHITECTURES
from models.checkpoint import Checkpoint
from models.tasks import load_task
from models.training.evaluation import evaluate
from tests.conftest import ROOT

FOLDERS = sorted((ROOT / "models" / "checkpoints").iterdir())
MOST_TOKENS = 400_000
every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_every_architecture_ships() -> None:
    shipped = {Checkpoint.load(folder).card.model.architecture for folder in FOLDERS}
    assert shipped == set(ARCHITECTURES)


@every_folder
def test_it_is_small_and_named_as_its_folder(folder: Path) -> None:
    assert Checkpoint.load(folder).card.name == folder.name
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000


@every_folder
def test_its_card_says_what_made_it_and_how_well_it_does(folder: Path) -> None:
    card, text = Checkpoint.load(folder).card, (folder / "README.md").read_text()
    assert f"sumserve train {card.task} --architecture {card.model.architecture}" in text
    for name, value in recorded(folder).items():
        assert f"| {name} | {value:.4g} |" in text


@every_folder
def test_its_figures_are_those_on_record(folder: Path) -> None:
    made, found = Checkpoint.load(folder), recorded(folder)
    for suffix, figures in measured(made):
        for name, value in figures.items():
            assert value == pytest.approx(found[name + suffix], rel=1e-3, abs=1e-4)


def recorded(folder: Path) -> dict[str, float]:
    """The test figures that training wrote."""
    last: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last.pop("split") == "test"
    return {name: value for name, value in last.items() if name not in ("step", "seconds", "seed")}


def measured(made: Checkpoint) -> Iterator[tuple[str, dict[str, float]]]:
    """The figures of every test that is quick."""
    assert made.card.task is not None
    task = load_task(made.card.task, made.card.options)
    for name, batch in task.tests().items():
        if batch.pack.tokens <= MOST_TOKENS:
            yield f"_at_{name}" if name else "", evaluate(task, made.model, batch)
