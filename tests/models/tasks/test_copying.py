from __future__ import annotations

import torch

from models.tasks.copying import IGNORED, MARK, MASK, TASK, sample


def test_every_position_of_the_second_half_is_asked_for_the_symbol_127_before() -> None:
    batch = sample(4, torch.Generator().manual_seed(0))
    ids, wanted = batch.pack.columns["tokens"].view(4, 256), batch.targets["copy"].view(4, 256)
    assert torch.equal(wanted[:, 128:255], ids[:, 1:128])
    assert (wanted[:, :128] == IGNORED).all()
    assert (wanted[:, 255] == IGNORED).all()


def test_the_second_half_shows_nothing_of_the_answers() -> None:
    ids = sample(4, torch.Generator().manual_seed(0)).pack.columns["tokens"].view(4, 256)
    assert (ids[:, [0, 128]] == MARK).all()
    assert (ids[:, 129:] == MASK).all()


def test_symbols_are_1_to_127() -> None:
    ids = sample(100, torch.Generator().manual_seed(0)).pack.columns["tokens"].view(100, 256)
    assert set(ids[:, 1:128].flatten().tolist()) == set(range(1, 128))


def test_accuracy_and_loss_are_those_of_the_second_half() -> None:
    batch = sample(8, torch.Generator().manual_seed(0))
    wanted = batch.targets["copy"]
    right = 50 * torch.nn.functional.one_hot(wanted.clamp(min=0), 128).float()
    right[wanted == IGNORED] = torch.randn(128)
    figures = TASK.figures({"copy": right}, batch)
    assert figures["accuracy"] == 1
    assert figures["loss"] < 1e-6
