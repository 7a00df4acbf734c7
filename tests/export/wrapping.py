"""Wrapping a model of a test, and looking at what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.wrap import Request, wrap
from export.wrap_inputs import Said
from service.bundle import Bundle
from service.pack import Array

LENGTHS = (1, 16, 40, 17, 3, 33, 1, 31)


def saved(folder: Path, model: Any) -> Path:
    """The model's file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def wrapped(folder: Path, model: Any, longest: int | None = 40, **said: Any) -> Bundle:
    """The bundle of a model, of what was said of it."""
    request = Request("mine", max_length=longest, said=Said(**said))
    return Bundle.open(wrap(saved(folder, model), folder / "out", request))


def left(folder: Path) -> list[str]:
    """What a refusal left behind."""
    return [str(path) for path in (folder / "out").rglob("*")]


def draw(lengths: tuple[int, ...] = LENGTHS) -> list[Array]:
    """Random vectors of width 4."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 4)).astype(np.float32) for n in lengths]
