"""What tests of the commands share: a tiny task in the place of a real one, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import models.tasks
from service.cli import main
from tests.models.training.doubling import Doubling


def use(monkeypatch: pytest.MonkeyPatch, task: Doubling) -> None:
    monkeypatch.setattr(models.tasks, "TASKS", {"doubling": "x -> 2 x", "other": "another"})
    monkeypatch.setattr(models.tasks, "load_task", lambda name, options: task)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def own_test(folder: Path) -> dict[str, float]:
    """The figures of the training's own test line."""
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return {k: v for k, v in line.items() if k not in ("split", "step", "seconds", "seed")}


def check_refused(
    argv: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(argv) == code
    error = capsys.readouterr().err
    assert error.startswith(f"sumserve {argv[0]}: ")
    assert error.count("\n") == 1
    assert message in error
