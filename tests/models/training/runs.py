"""What tests of training runs share: what a run leaves in its folder, and how one is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoint import Checkpoint
from models.tasks.task import Task
from models.training.run import train

ARCHITECTURE = "sumformer"


def weights(folder: Path) -> dict[str, Tensor]:
    return Checkpoint.load(folder).model.state_dict()


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def interrupted(task: Task, architecture: str, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(task, architecture, folder)
