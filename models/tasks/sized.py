"""A task with a model of another size, as asked for in words: blocks=4, layer.rotary=true."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import asdict, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from models.architectures import Size
from models.reason import reason
from models.tasks.task import Task

LAYER = "layer."
KEYS = tuple(field.name for field in fields(Size) if field.name != "layer")


def sized(task: Task, asked: Mapping[str, str]) -> Task:
    """A copy of the task whose `Size` has these fields; ``layer.FIELD`` is one of its layers'.

    Values are JSON where they can be read so, else words. Raises ValueError naming the key of what
    is wrong; fields of layers are not looked at before there is an architecture.
    """
    size, layer = asdict(task.size), dict(task.size.layer)
    for key, text in asked.items():
        if key.startswith(LAYER):
            layer[key.removeprefix(LAYER)] = _value(text)
        elif key in KEYS:
            size[key] = _value(text)
        else:
            raise ValueError(f"no {key!r}; there are {', '.join(KEYS)} and {LAYER}FIELD")
    made = copy(task)
    try:
        made.size = TypeAdapter(Size).validate_python({**size, "layer": layer})
    except ValidationError as error:
        raise ValueError(reason(error)) from error
    made.asked_model = dict(asked)
    return made


def idle(task: Task, plain: Task, architecture: str) -> str | None:
    """The key asked for without which the task's model would be the same, if there is one.

    ``plain`` is the task before anything was asked of it. What repeats a default is not idle.
    """
    for key in task.asked_model:
        others = {name: text for name, text in task.asked_model.items() if name != key}
        rest = sized(plain, others)
        with suppress(ValueError):  # without it there may be no model at all
            if rest.size != task.size and rest.config(architecture) == task.config(architecture):
                return key
    return None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
