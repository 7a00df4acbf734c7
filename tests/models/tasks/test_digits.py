from __future__ import annotations

import numpy as np
import torch

from models.pack import Pack
from models.tasks.digits import augment, points, splits


def test_points_are_the_raw_non_zero_pixels() -> None:
    image = np.zeros((8, 8))
    image[2, 5], image[7, 0] = 16, 1
    assert points(image).tolist() == [[5, 2, 16], [0, 7, 1]]


def test_splits_are_stratified_and_disjoint() -> None:
    parts = splits()
    assert {name: len(p.labels) for name, p in parts.items()} == {
        "train": 1293,
        "validation": 144,
        "test": 360,
    }
    shares = {name: np.bincount(p.labels) / len(p.labels) for name, p in parts.items()}
    assert np.abs(shares["train"] - shares["test"]).max() < 0.01
    keys = [
        {(s.tobytes(), int(y)) for s, y in zip(p.sequences, p.labels, strict=True)}
        for p in parts.values()
    ]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    assert not keys[0] & keys[1]


def test_sets_have_the_lengths_the_task_names() -> None:
    lengths = [len(s) for p in splits().values() for s in p.sequences]
    assert (min(lengths), max(lengths)) == (16, 42)


def test_augmenting_changes_every_set_a_little() -> None:
    pack = Pack.of_sequences("pixels", splits()["train"].sequences[:50])
    moved = augment(pack, torch.Generator().manual_seed(0))
    kept = moved.counts[:, 0] / pack.counts[:, 0]
    assert 0.7 < kept.min() < kept.max() <= 1
    centre, before = (p.sum(p.columns["pixels"]) / p.counts[:, :1] for p in (moved, pack))
    shift = (centre - before)[:, :2].abs()
    assert shift.min() > 0
    assert shift.max() < 1.5
