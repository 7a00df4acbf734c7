"""The tasks a model can be trained on, by name. Modules are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from models.tasks.task import Task

TASKS = {
    "digits": "8x8 images as sets of their non-zero pixels, classified",
    "polynomial": "the per-token target of Figure 2 of the Sumformer paper (d = 4, n = 3)",
    "digit_sum": "sets of the ids 1..9 -> their sum, at any length",
}


def load_task(name: str) -> Task:
    """The task of that name; KeyError names the known ones."""
    if name not in TASKS:
        raise KeyError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    return cast("Task", import_module(f"models.tasks.{name}").TASK)
