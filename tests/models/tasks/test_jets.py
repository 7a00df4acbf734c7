from __future__ import annotations

import math

import pytest
import torch

from models.pack import Pack
from models.tasks.jets import MASS, MOST, TASK, THRESHOLD, masses, origin, sample, split

JETS = sample(2_000, torch.Generator().manual_seed(0))


def jet(pt: list[float], eta: list[float], phi: list[float]) -> Pack:
    columns = {"pt": torch.tensor(pt), "eta": torch.tensor(eta), "phi": torch.tensor(phi)}
    return Pack(columns, torch.tensor([len(pt)]))


def test_two_constituents_have_the_mass_of_the_textbook() -> None:
    found = masses(jet([100.0, 50.0], [0.3, -0.2], [0.1, -0.4]))
    wanted = math.sqrt(2 * 100 * 50 * (math.cosh(0.5) - math.cos(0.5)))
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_one_constituent_has_no_mass() -> None:
    assert masses(jet([500.0], [0.7], [0.2])).item() < 1e-4


def test_empty_jets_occur_and_have_no_mass_and_one_prong() -> None:
    empty = JETS.pack.lengths == 0
    assert 5 < empty.sum() < 50
    assert JETS.targets["mass"][empty].abs().max() == 0
    assert JETS.targets["prong"][empty].max() == 0


def test_decays_have_the_mass_of_what_decayed() -> None:
    two = torch.ones(500, dtype=torch.bool)
    partons = origin(two, torch.Generator().manual_seed(0))
    parts = {"pt": partons.pt, "eta": partons.eta, "phi": partons.phi}
    columns = {name: values.flatten() for name, values in parts.items()}
    found = masses(Pack(columns, torch.full((500,), 2)))
    assert found.min() > MASS[0] * 0.97
    assert found.max() < MASS[1] * 1.03


def test_splitting_keeps_momentum_and_its_centre() -> None:
    generator = torch.Generator().manual_seed(0)
    before = origin(torch.arange(50) % 2 == 0, generator)
    after = split(split(before, generator), generator)
    torch.testing.assert_close(after.pt.sum(1), before.pt.sum(1))
    for now, then in ((after.eta, before.eta), (after.phi, before.phi)):
        wanted = (then * before.pt).sum(1)
        torch.testing.assert_close((now * after.pt).sum(1), wanted, atol=1e-3, rtol=0)


def test_angles_fall_from_generation_to_generation() -> None:
    generator = torch.Generator().manual_seed(0)
    before = origin(torch.arange(50) % 2 == 0, generator)
    after = split(before, generator)
    assert (after.angle <= before.angle.repeat(1, 2)).all()


def test_constituents_come_by_falling_pt_above_the_threshold() -> None:
    pt, pack = JETS.pack.columns["pt"], JETS.pack
    assert pt.min() >= THRESHOLD
    falls = pt.diff() <= 0
    assert falls[pack.owner.diff() == 0].all()
    assert pack.lengths.max() <= MOST


def test_neither_length_nor_mass_alone_tells_the_prongs_apart() -> None:
    two = JETS.targets["prong"] == 1
    for value in (JETS.pack.lengths.float(), JETS.targets["mass"][:, 0]):
        hits = [((value > cut) == two).float().mean().item() for cut in value.quantile(_GRID)]
        assert max(max(hits), 1 - min(hits)) < 0.72


def test_the_figures_name_both_outputs() -> None:
    outputs = {"prong": torch.zeros(2_000, 2), "mass": JETS.targets["mass"] + 3.0}
    figures = TASK.figures(outputs, JETS)
    assert figures["mass_rmse"] == pytest.approx(3, rel=1e-4)
    assert 0.4 < figures["prong_accuracy"] < 0.6


_GRID = torch.linspace(0, 1, 41)
