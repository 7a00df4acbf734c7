"""A checkpoint folder: config.json (what the model is) and model.safetensors (its weights).

Loading is strict: unknown keys, missing or surplus tensors and wrong shapes are errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model

from models.config import ModelConfig
from models.model import Model
from models.reason import reason
from models.signature import Name, Strict

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class CheckpointError(Exception):
    """A checkpoint folder that cannot be read; the message names the file."""


class Card(Strict):
    """config.json: the model's shape, and what a server must know about its training.

    ``name`` is the bundle's; ``task`` is what it was trained on, None for nothing that has a name,
    and ``options`` what the task was told, such as Figure 2's n and d.
    """

    format: Literal[2] = 2
    name: Name
    task: Name | None = None
    options: dict[str, int] = Field(default={})
    trained_lengths: tuple[int, int] | None = None
    seed: int
    model: ModelConfig


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model with its card."""

    card: Card
    model: Model

    def save(self, folder: Path) -> None:
        """Write both files into ``folder``, made if missing.

        Raises CheckpointError for weights that are not float32, as `load` would.
        """
        for name, weights in self.model.state_dict().items():
            if weights.dtype != torch.float32:
                raise CheckpointError(f"{folder}: {name} is {weights.dtype}, weights are float32")
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / WEIGHTS))
        (folder / CONFIG).write_text(self.card.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read a checkpoint; the model is in evaluation mode.

        Raises CheckpointError naming the file that is missing, malformed or does not fit.
        """
        card = _read_card(folder / CONFIG)
        try:
            model = Model(card.model)
        except ValueError as error:
            raise CheckpointError(f"{folder / CONFIG}: {reason(error)}") from error
        try:
            _check_types(folder / WEIGHTS)
            load_model(model, folder / WEIGHTS, strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"{folder / WEIGHTS}: {error}") from error
        return cls(card, model.eval())


def _check_types(path: Path) -> None:
    with safe_open(path, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118  not a dict
            if weights.get_slice(name).get_dtype() != "F32":
                raise RuntimeError(f"{name} is not float32, as weights are")


def _read_card(path: Path) -> Card:
    try:
        return Card.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path}: {reason(error)}") from error
