from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments import trained
from models.checkpoint import Checkpoint
from models.training.run import STATE
from tests.conftest import small_checkpoint

QUICK = trained.Run("digit_sum", "sumformer", "accuracy_at_100", ships=True)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(trained, "MADE", tmp_path / "made")
    monkeypatch.setattr(trained, "SHIPPED", tmp_path / "shipped")
    return trained.folder(*trained.cells(False)[QUICK.key][1:])


def test_a_cell_goes_on_where_a_stopped_run_was(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def train(task: object, architecture: str, folder: Path, **how: Any) -> dict[str, float]:
        asked.append(how["resume"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).touch()
        (folder / "metrics.jsonl").write_text('{"seconds": 1.0}\n{"seconds": 7.5}\n')
        return {"accuracy": 1.0}

    monkeypatch.setattr(trained, "train", train)
    arguments = trained.cells(False)[QUICK.key]
    first, second = trained.cell(*arguments), trained.cell(*arguments)
    assert asked == [False, True]
    assert first == second == {"figures": {"accuracy": 1.0}, "seconds": 7.5}


def test_what_ships_is_the_run_of_the_table_under_its_own_name(made: Path) -> None:
    small_checkpoint("ids").save(made)
    trained.ship()
    assert [folder.name for folder in trained.SHIPPED.iterdir()] == ["ids"]
    assert Checkpoint.load(trained.SHIPPED / "ids").card == Checkpoint.load(made).card


def test_a_smoke_run_is_made_elsewhere_than_the_real_one() -> None:
    smoke, real = (trained.cells(smoke)[QUICK.key][1:] for smoke in (True, False))
    assert trained.folder(*smoke) != trained.folder(*real)
