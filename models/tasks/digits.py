"""scikit-learn's bundled 8x8 digits, each image as the set of its non-zero pixels.

A token is (column 0..7, row 0..7, intensity 1..16), raw. 80/20 stratified split with seed 0; a
tenth of the 80 is held out for validation. Training sets are varied a little each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

SPLIT_SEED = 0
BATCH = 128
COPIES = 16


@dataclass(frozen=True, slots=True)
class Sets:
    """Labelled sets: arrays of shape (n, 3) and their digits."""

    sequences: list[np.ndarray]
    labels: np.ndarray

    def part(self, indices: np.ndarray) -> Sets:
        """The sets at these indices."""
        return Sets([self.sequences[i] for i in indices], self.labels[indices])


def points(image: np.ndarray) -> np.ndarray:
    """8x8 image -> (n, 3) float32 rows (column, row, intensity) of its non-zero pixels."""
    y, x = np.nonzero(image)
    return np.stack([x, y, image[y, x]], axis=1).astype(np.float32)


@cache
def splits() -> dict[str, Sets]:
    """``train``, ``validation`` and ``test``; always the same."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    every = Sets([points(image) for image in bunch.images], bunch.target)
    rest, test = train_test_split(
        np.arange(len(bunch.target)), test_size=0.2, stratify=every.labels, random_state=SPLIT_SEED
    )
    train, validation = train_test_split(
        rest, test_size=0.1, stratify=every.labels[rest], random_state=SPLIT_SEED
    )
    parts = {"train": train, "validation": validation, "test": test}
    return {name: every.part(indices) for name, indices in parts.items()}


def augment(pack: Pack, generator: torch.Generator) -> Pack:
    """A set as it might have been drawn and scanned again.

    Per set: rotate by up to 12 degrees, scale each axis by up to 12 %, shear by up to 10 %, shift
    by up to 0.6 pixels, scale intensities by up to 15 %. Per point: shake a little in place and
    intensity; up to a tenth of the points are lost.
    """
    sets, points, pixels = pack.sequences, pack.tokens, pack.columns["pixels"]
    intensity = pixels[:, 2:] * (1 + 0.15 * _uniform(generator, sets, 1))[pack.owner]
    shift = 0.6 * _uniform(generator, sets, 2)[pack.owner]
    place = torch.einsum(
        "pij,pj->pi", _linear_maps(sets, generator)[pack.owner], pixels[:, :2] - 3.5
    )
    shaken = 0.1 * torch.randn(points, 2, generator=generator)
    moved = torch.cat(
        [place + 3.5 + shift + shaken, intensity + 0.6 * _uniform(generator, points, 1)], dim=1
    )
    lost = 0.1 * torch.rand(sets, generator=generator)[pack.owner]
    kept = torch.rand(points, generator=generator) > lost
    lengths = torch.bincount(pack.owner[kept], minlength=sets)
    return Pack({"pixels": moved[kept]}, lengths)


def _linear_maps(sets: int, generator: torch.Generator) -> Tensor:
    """(sets, 2, 2): a rotation, a scaling of each axis and a shear, one per set."""
    angle = _uniform(generator, sets) * pi / 15
    sx, sy = (1 + 0.12 * _uniform(generator, sets, 2)).T
    shear = 0.1 * _uniform(generator, sets)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * sx, shear - sin * sy, sin * sx, cos * sy], dim=1).view(sets, 2, 2)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.rand(*shape, generator=generator) - 1


class Digits(Task):
    """Which digit a set of pixels shows: one row of ten logits per sequence."""

    name = "digits"
    trained_lengths = (16, 42)
    recipe = Recipe(steps=6000, learning_rate=3e-3, weight_decay=0.05, evaluate_every=200)
    signature = Signature(
        columns=(VectorColumn(name="pixels", width=3),),
        outputs=(
            Output(
                name="digit",
                per="sequence",
                width=10,
                kind="classification",
                labels=tuple("0123456789"),
            ),
        ),
    )

    def fitting(self) -> Pack:
        return _pack(splits()["train"])

    def batch(self, generator: torch.Generator) -> Batch:
        train = splits()["train"]
        chosen = torch.randint(len(train.labels), (BATCH,), generator=generator).numpy()
        return _batch(train.part(chosen), generator)

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs["digit"], batch.targets["digit"], label_smoothing=0.05)

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        logits, target = outputs["digit"], batch.targets["digit"]
        hits = (logits.argmax(1) == target).float().mean()
        return {"accuracy": hits.item(), "loss": cross_entropy(logits, target).item()}

    def validation(self) -> Batch:
        """Varied copies too: 144 images alone would choose a step by chance."""
        own = splits()["validation"]
        copies = own.part(np.tile(np.arange(len(own.labels)), COPIES))
        return _batch(copies, held_out(0))

    def tests(self) -> dict[str, Batch]:
        return {"": _batch(splits()["test"])}


def _pack(sets: Sets) -> Pack:
    return Pack.of_sequences("pixels", sets.sequences)


def _batch(sets: Sets, generator: torch.Generator | None = None) -> Batch:
    """The sets and their digits, varied where a generator is given."""
    pack = _pack(sets) if generator is None else augment(_pack(sets), generator)
    return Batch(pack, {"digit": torch.from_numpy(sets.labels)})


TASK = Digits()
