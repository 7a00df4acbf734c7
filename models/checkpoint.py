"""A checkpoint folder: config.json (what the model is) and model.safetensors (its weights).

Loading is strict: unknown keys, missing or surplus tensors and wrong shapes are errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.config import Name, Strict, SumformerConfig
from models.sumformer import Sumformer

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class CheckpointError(Exception):
    """A checkpoint folder that cannot be read; the message names the file."""


class Card(Strict):
    """config.json: the model's shape, and what a server must know about its training."""

    format: Literal[1] = 1
    name: Name
    task: Literal["classification", "regression"]
    labels: tuple[str, ...] | None = None
    trained_lengths: tuple[int, int] | None = None
    seed: int
    model: SumformerConfig

    @model_validator(mode="after")
    def _a_label_per_number(self) -> Card:
        if self.labels is not None and len(self.labels) != self.model.head.width:
            raise ValueError(f"{len(self.labels)} labels for a width of {self.model.head.width}")
        return self


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model with its card."""

    card: Card
    model: Sumformer

    def save(self, folder: Path) -> None:
        """Write both files into ``folder``, made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.model.state_dict().items()}
        save_file(state, folder / WEIGHTS)
        (folder / CONFIG).write_text(self.card.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read a checkpoint; the model is in evaluation mode.

        Raises CheckpointError naming the file that is missing, malformed or does not fit.
        """
        card = _read_card(folder / CONFIG)
        model = Sumformer(card.model)
        try:
            weights = load_file(folder / WEIGHTS)
            _check_types(weights)
            model.load_state_dict(weights, strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"{folder / WEIGHTS}: {error}") from error
        return cls(card, model.eval())


def _check_types(weights: dict[str, Tensor]) -> None:
    for name, value in weights.items():
        if value.dtype != torch.float32:
            raise RuntimeError(f"{name} is {value.dtype}, weights are float32")


def _read_card(path: Path) -> Card:
    try:
        return Card.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path}: {error}") from error
