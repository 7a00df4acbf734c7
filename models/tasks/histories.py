"""Simulated event histories of 0 to 50,000 events -> is it a risk? Figures: accuracy and AUC.

The planted rule: an event is odd when its category is one of ODD, its amount is large and it falls
into the first six hours of a day, counted from the first event; a history is a risk when the share
of its odd events exceeds what its profile allows. No share is near its threshold, and both classes
are equally frequent at every length from 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from models.architectures import Size
from models.pack import Pack
from models.signature import IdsColumn, NumericColumn, Output, Signature, TimeColumn
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

CATEGORIES, SEGMENTS = 20, 5
ODD = torch.tensor([3, 7, 12, 18])
LARGE, NIGHT = 100.0, 0.25
MEDIAN, SIGMA, LONGEST = 200.0, 1.4, 50_000
BELOW, ABOVE = (0.0, 0.8), (1.25, 2.0)
MISSING, UNKNOWN = 0.02, 0.01
BUDGET = 16_384
TESTED = {10: 1_000, 100: 1_000, 1_000: 500, 10_000: 200, 100_000: 40, 1_000_000: 6}


def thresholds(context: Mapping[str, Tensor]) -> Tensor:
    """(N,) the share of odd events that a profile allows: 0.06 to 0.26, by segment and age."""
    return 0.08 + 0.04 * context["segment"] + 0.0005 * (context["age"] - 54)


def odd(pack: Pack) -> Tensor:
    """(T,) which events are odd; a missing amount is not large."""
    time, amount = pack.columns["time"], pack.columns["amount"]
    night = (time - pack.first(time)) % 1 < NIGHT
    return night & (amount > LARGE) & torch.isin(pack.columns["category"], ODD)


def sample(lengths: Tensor, generator: torch.Generator) -> Batch:
    """Histories of these lengths (N,), every other one a risk; an empty one is none."""
    draw = _Draw(generator)
    risk = (torch.arange(len(lengths)) % 2 == 1) & (lengths > 0)
    context = draw.profiles(len(lengths))
    pack = Pack({}, lengths, context)
    chosen = pack.position < pack.spread(draw.odd_events(lengths, risk, thresholds(context)))
    columns = draw.events(pack, chosen)
    order = (pack.owner * 4096.0 + columns["time"]).argsort()
    columns = {name: values[order] for name, values in columns.items()}
    # Histories begin at any time of any of fifty years.
    columns["time"] = columns["time"] + pack.spread(18_000 * draw.uniform(len(lengths)))
    return Batch(Pack(columns, lengths, context), {"risk": risk.long()})


class _Draw:
    """Draws the parts of histories, in the order they are asked for."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, count: int) -> Tensor:
        """(count,) float64 in [0, 1)."""
        return torch.rand(count, generator=self.generator, dtype=torch.float64)

    def chance(self, count: int, share: float) -> Tensor:
        """(count,) true for about that share."""
        return self.uniform(count) < share

    def profiles(self, count: int) -> dict[str, Tensor]:
        """Ages of 18 to 89 years, and segments."""
        age = (18 + 72 * self.uniform(count)).floor().float()
        return {"age": age, "segment": (SEGMENTS * self.uniform(count)).long()}

    def odd_events(self, lengths: Tensor, risk: Tensor, allowed: Tensor) -> Tensor:
        """(N,) how many odd events each history has: clearly more than allowed, or clearly less."""
        drawn = self.uniform(len(lengths))
        below = BELOW[0] + (BELOW[1] - BELOW[0]) * drawn
        above = ABOVE[0] + (ABOVE[1] - ABOVE[0]) * drawn
        counts = lengths * allowed
        return torch.where(risk, (counts * above).ceil(), (counts * below).floor()).long()

    def events(self, pack: Pack, chosen: Tensor) -> dict[str, Tensor]:
        """Columns (T,) of events in no order; where ``chosen`` they are odd, elsewhere not."""
        time = self.times(pack, chosen)
        category = self.categories(pack.tokens, chosen)
        amount = self.amounts(pack.tokens, chosen)
        by_chance = ~chosen & (time % 1 < NIGHT) & torch.isin(category, ODD)
        small = LARGE * self.uniform(pack.tokens).float()
        amount = torch.where(by_chance & (amount > LARGE), small, amount)
        return {"category": category, "amount": amount, "time": time}

    def times(self, pack: Pack, chosen: Tensor) -> Tensor:
        """Days since the first event: one event of each history, any of them, is at 0."""
        span = 10 * 100 ** self.uniform(pack.sequences)
        day = (pack.spread(span) * self.uniform(pack.tokens)).floor()
        hour = self.uniform(pack.tokens) * torch.where(chosen, NIGHT, 1.0)
        earliest = (self.uniform(pack.sequences) * pack.lengths).long()
        return torch.where(pack.position == pack.spread(earliest), 0.0, day + hour)

    def categories(self, count: int, chosen: Tensor) -> Tensor:
        """Any category, and now and then one that has no name; where chosen, one of ODD."""
        any_of_all = (CATEGORIES * self.uniform(count)).long()
        unknown = self.chance(count, UNKNOWN)
        ordinary = torch.where(unknown, any_of_all + CATEGORIES, any_of_all)
        return torch.where(chosen, ODD[any_of_all % len(ODD)], ordinary)

    def amounts(self, count: int, chosen: Tensor) -> Tensor:
        """Log-normal around 40, some of them missing; where chosen, large and present."""
        normal = torch.randn(count, generator=self.generator)
        missing = self.chance(count, MISSING)
        ordinary = torch.where(missing, torch.nan, 40 * (1.2 * normal).exp())
        return torch.where(chosen, 1.05 * LARGE * (0.8 * normal.abs()).exp(), ordinary)


def natural_lengths(count: int, generator: torch.Generator) -> Tensor:
    """(count,) log-normal lengths, median 200, from 0 to 50,000."""
    normal = torch.randn(count, generator=generator)
    return (MEDIAN * (SIGMA * normal).exp()).long().clamp(max=LONGEST)


def within(budget: int, generator: torch.Generator) -> Tensor:
    """As many natural lengths as a budget of tokens holds; one history at least."""
    lengths = natural_lengths(budget // 32, generator)
    return lengths[: max(1, int((lengths.cumsum(0) <= budget).sum()))]


class Histories(Task):
    """A class per history, from its events and its profile."""

    name = "histories"
    signature = Signature(
        columns=(
            IdsColumn(name="category", high=CATEGORIES - 1, unknown=True),
            NumericColumn(name="amount", log=True, missing="flag"),
            # Sixteen wavelengths from 0.05 to 400 days: the sixth is exactly a day.
            TimeColumn(name="time", shortest=0.05, longest=400.0),
        ),
        context=(NumericColumn(name="age"), IdsColumn(name="segment", high=SEGMENTS - 1)),
        outputs=(
            Output(
                name="risk",
                per="sequence",
                width=2,
                kind="classification",
                labels=("no", "yes"),
            ),
        ),
        min_length=0,
    )
    trained_lengths = (0, LONGEST)
    recipe = Recipe(steps=3_000, learning_rate=3e-3, evaluate_every=250)
    size = Size(blocks=1, aggregation="mean")

    def batch(self, generator: torch.Generator) -> Batch:
        return sample(within(BUDGET, generator), generator)

    def fitting(self) -> Pack:
        generator = held_out(1)
        return sample(within(8 * BUDGET, generator), generator).pack

    def validation(self) -> Batch:
        generator = held_out(2)
        return sample(natural_lengths(256, generator), generator)

    def tests(self) -> dict[str, Batch]:
        return {str(length): self.of_length(length, count) for length, count in TESTED.items()}

    def of_length(self, length: int, count: int, seed: int = 3) -> Batch:
        """That many histories of one length, however long."""
        return sample(torch.full((count,), length), held_out(seed))

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        no, yes = outputs["risk"].unbind(1)
        auc = roc_auc_score(batch.targets["risk"].cpu(), (yes - no).cpu())
        return super().figures(outputs, batch) | {"auc": float(auc)}


TASK = Histories()
