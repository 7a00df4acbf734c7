"""The tasks a model can be trained on, by name. Modules are imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from models.tasks.task import Task

TASKS = {
    "digits": "8x8 images as sets of their non-zero pixels, classified",
    "polynomial": "the per-token target of Figure 2 of the Sumformer paper (n = 3, d = 4)",
    "digit_sum": "sets of the ids 1..9 -> their sum, at any length",
    "sum_of_squares": "sets of vectors in [-1, 1]^4 -> the sum of their squared norms",
    "max_regression": "sets of integers 1..99 -> the largest (Set Transformer, section 5.1)",
    "sort_rank": "sets of numbers in [0, 1] -> per token, the share of the set that is smaller",
    "centroid_distance": "point clusters in R^3 -> per token, its distance to the centroid",
    "mixture_of_gaussians": "points in the plane -> a mixture of Gaussians (Set Transformer, 5.3)",
    "copying": "127 symbols, to be said again 127 places later (Yun et al. 2020)",
    "listops": "nested MIN, MAX, MED, SM of digits -> the value (Long Range Arena, shorter)",
    "jets": "simulated jets of 0 to 150 particles -> one prong or two, and the mass",
    "histories": "simulated event histories of 0 to 50,000 events -> a risk or not",
}


def load_task(name: str, options: Mapping[str, int] | None = None) -> Task:
    """The task of that name, told the options if it takes any.

    Raises KeyError naming the known tasks, ValueError naming the options that there are.
    """
    if name not in TASKS:
        raise KeyError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    task = cast("Task", import_module(f"models.tasks.{name}").TASK)
    return _told(task, options) if options else task


def _told(task: Task, options: Mapping[str, int]) -> Task:
    known = list(signature(type(task)).parameters)
    for option in options:
        if option not in known:
            there = f"there are {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{task.name}: no option {option!r}; {there}")
    made = type(task)(**options)
    made.options = dict(options)
    return made
