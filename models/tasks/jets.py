"""Simulated jets: does one hard particle stand behind it or a pair, and what is the jet's mass?

A toy, not a physics generator: an angular-ordered shower of splittings z ~ 1/z in relative
coordinates (eta, phi) about the jet's axis, momenta and masses in GeV. A jet of two prongs is the
decay of a particle of 60 to 160 GeV. Figures: the accuracy of `prong`, the rmse of `mass` in GeV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.architectures import Size
from models.pack import Pack
from models.signature import IdsColumn, NumericColumn, Output, Signature
from models.tasks.task import Batch, Recipe, Task, held_out

BATCH = 128
MOMENTUM, MASS = (400.0, 1000.0), (60.0, 160.0)
RADIUS = 0.8
GENERATIONS = 7
Z_MIN, ANGLE_RATIO = 0.05, 0.3
CUTOFF, THRESHOLD = 0.02, 0.5
NOISE, MOST_NOISE, MOST = 8.0, 30, 150
EMPTY = 0.01
MASS_SCALE = 50.0  # about the spread of masses


@dataclass(frozen=True, slots=True)
class Partons:
    """N jets of P slots each: pt (N, P), zero where there is none, eta, phi, and the widest angle
    at which each may split."""

    pt: Tensor
    eta: Tensor
    phi: Tensor
    angle: Tensor


def origin(two: Tensor, generator: torch.Generator) -> Partons:
    """What stands behind jets: two (N,) says which are a decay -> partons (N, 2)."""
    drawn = torch.rand(4, len(two), generator=generator)
    pt, mass = _between(MOMENTUM, drawn[0]), _between(MASS, drawn[1])
    share = torch.where(two, 0.25 + 0.5 * drawn[2], 0.0)
    # A pair of massless partons: M^2 = z (1 - z) (pt angle)^2.
    apart = torch.where(two, mass / (pt * (share * (1 - share)).sqrt().clamp(min=1e-3)), 0.0)
    widest = torch.where(two, apart / 2, RADIUS)
    eta, phi = apart * (math.tau * drawn[3]).cos(), apart * (math.tau * drawn[3]).sin()
    return Partons(
        torch.stack([(1 - share) * pt, share * pt], dim=1),
        torch.stack([-share * eta, (1 - share) * eta], dim=1),
        torch.stack([-share * phi, (1 - share) * phi], dim=1),
        torch.stack([widest, widest], dim=1),
    )


def split(one: Partons, generator: torch.Generator) -> Partons:
    """One generation: (N, P) -> (N, 2 P), a second slot staying empty where nothing was split.

    The angle is lower in every generation; what would be too soft or too narrow is not emitted.
    """
    drawn = torch.rand(3, *one.pt.shape, generator=generator)
    z = 0.5 * (2 * Z_MIN) ** drawn[0]
    angle = one.angle * ANGLE_RATIO ** drawn[1]
    z = torch.where(z * one.pt * angle > CUTOFF, z, 0.0)
    eta, phi = angle * (math.tau * drawn[2]).cos(), angle * (math.tau * drawn[2]).sin()
    return Partons(
        torch.cat([(1 - z) * one.pt, z * one.pt], dim=1),
        torch.cat([one.eta - z * eta, one.eta + (1 - z) * eta], dim=1),
        torch.cat([one.phi - z * phi, one.phi + (1 - z) * phi], dim=1),
        torch.cat([angle, angle], dim=1),
    )


def noise(jets: int, generator: torch.Generator) -> Partons:
    """Soft particles all over the jet's area, about NOISE a jet, at most MOST_NOISE."""
    count = torch.poisson(torch.full((jets, 1), NOISE), generator=generator)
    present = torch.arange(MOST_NOISE) < count
    drawn = torch.rand(3, jets, MOST_NOISE, generator=generator)
    pt = torch.where(present, THRESHOLD - drawn[0].clamp(min=1e-6).log(), 0.0)
    radius, turn = RADIUS * drawn[1].sqrt(), math.tau * drawn[2]
    return Partons(pt, radius * turn.cos(), radius * turn.sin(), torch.zeros_like(pt))


def masses(pack: Pack) -> Tensor:
    """(N, 1) invariant masses of the sums of massless constituents, in GeV; 0 for an empty jet."""
    pt, eta, phi = (pack.columns[name].double() for name in ("pt", "eta", "phi"))
    parts = [pt * eta.exp(), pt * (-eta).exp(), pt * phi.cos(), pt * phi.sin()]
    # E + pz and E - pz apart, so that nothing large cancels.
    plus, minus, x, y = pack.sum(torch.stack(parts, dim=1)).unbind(1)
    square = plus * minus - x.square() - y.square()
    return square.clamp(min=0).sqrt()[:, None].float()


def sample(jets: int, generator: torch.Generator) -> Batch:
    """Fresh jets, half of them of two prongs; one in a hundred is empty and counts as one prong.

    Constituents come in order of falling pt, as in data, and are the first MOST of them.
    """
    empty = torch.rand(jets, generator=generator) < EMPTY
    two = (torch.rand(jets, generator=generator) < 0.5) & ~empty
    partons = origin(two, generator)
    for _ in range(GENERATIONS):
        partons = split(partons, generator)
    soft = noise(jets, generator)
    pt = torch.cat([partons.pt, soft.pt], dim=1).masked_fill(empty[:, None], 0.0)
    pt, order = (part[:, :MOST] for part in pt.sort(dim=1, descending=True))
    eta = torch.cat([partons.eta, soft.eta], dim=1).gather(1, order)
    phi = torch.cat([partons.phi, soft.phi], dim=1).gather(1, order)
    seen = pt >= THRESHOLD
    charge = torch.randint(-1, 2, (int(seen.sum()),), generator=generator)
    columns = {"pt": pt[seen], "eta": eta[seen], "phi": phi[seen], "charge": charge}
    pack = Pack(columns, seen.sum(1))
    return Batch(pack, {"prong": two.long(), "mass": masses(pack)})


def _between(ends: tuple[float, float], drawn: Tensor) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * drawn


class Jets(Task):
    """Two answers per jet: one prong or two, and the mass in GeV."""

    name = "jets"
    signature = Signature(
        columns=(
            NumericColumn(name="pt", log=True),
            NumericColumn(name="eta"),
            NumericColumn(name="phi"),
            IdsColumn(name="charge", low=-1, high=1, labels=("negative", "neutral", "positive")),
        ),
        outputs=(
            Output(
                name="prong",
                per="sequence",
                width=2,
                kind="classification",
                labels=("one", "two"),
            ),
            Output(name="mass", per="sequence", width=1, scale=(MASS_SCALE,)),
        ),
        min_length=0,
    )
    trained_lengths = (0, 150)
    recipe = Recipe(steps=8_000, learning_rate=1e-3)
    size = Size(aggregation="sum")

    def batch(self, generator: torch.Generator) -> Batch:
        return sample(BATCH, generator)

    def validation(self) -> Batch:
        return sample(2_000, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": sample(2_000, held_out(3))}


TASK = Jets()
