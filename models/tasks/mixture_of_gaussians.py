"""Amortised clustering: a set of points -> the mixture of Gaussians it was drawn from.

The Set Transformer paper, section 5.3: K = 4 clusters in the plane, 100 to 500 points. The figure
is the mean log likelihood per point of the network's mixture (LL0), and after a step of EM (LL1).
Published, LL0 / LL1: the true parameters -1.4726, ISAB + PMA -1.5009 / -1.4530.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models import config
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

K, D = 4, 2
SIGMA, REACH = 0.3, 4.0
SMALLEST = 0.01  # A sigma may not collapse onto one point.
TESTED = (100, 500)
POINTS, LENGTHS, SPREAD = 3_000, (30, 500), 0.4
SEEDED = ("sumformer", "performer", "set_transformer")


@dataclass(frozen=True, slots=True)
class Mixture:
    """N mixtures: logarithms of weights (N, K), means (N, K, D), sigmas (N, K, D)."""

    log_weights: Tensor
    means: Tensor
    sigmas: Tensor

    @classmethod
    def of_output(cls, rows: Tensor) -> Mixture:
        """rows (N, K (1 + 2 D)): logits of the weights, means, sigmas before a softplus."""
        means, raw = rows[:, K:].view(-1, 2, K, D).unbind(1)
        return cls(rows[:, :K].log_softmax(1), means, softplus(raw) + SMALLEST)

    def joint(self, pack: Pack) -> Tensor:
        """(T, K): the logarithm of weight times density, of each point and component."""
        sigmas = pack.spread(self.sigmas)
        away = (pack.columns["x"][:, None] - pack.spread(self.means)) / sigmas
        densities = -(away.square() / 2 + sigmas.log()).sum(2) - D / 2 * math.log(2 * math.pi)
        return densities + pack.spread(self.log_weights)

    def log_likelihood(self, pack: Pack) -> Tensor:
        """Mean over all points of the pack, a scalar."""
        return self.joint(pack).logsumexp(1).mean()

    def after_em(self, pack: Pack) -> Mixture:
        """One step of expectation and maximisation on each set's own points."""
        share = self.joint(pack).softmax(1)
        total = pack.sum(share).clamp(min=1e-6)

        def average(rows: Tensor) -> Tensor:
            weighted = pack.sum((share[:, :, None] * rows).flatten(1))
            return weighted.view(-1, K, D) / total[:, :, None]

        points = pack.columns["x"][:, None]
        means = average(points)
        variances = average((points - pack.spread(means)).square())
        weights = total / total.sum(1, keepdim=True)
        return Mixture(weights.log(), means, variances.sqrt().clamp(min=SMALLEST))


def sample(lengths: Tensor, generator: torch.Generator) -> Batch:
    """Sets of these lengths (N,); targets are the true log weights (N, K) and means (N, K, D)."""
    sets = len(lengths)
    # Exponentials over their sum are Dirichlet(1).
    weights = -torch.rand(sets, K, generator=generator).clamp(min=1e-30).log()
    weights = weights / weights.sum(1, keepdim=True)
    means = REACH * (2 * torch.rand(sets, K, D, generator=generator) - 1)
    owner = torch.repeat_interleave(torch.arange(sets), lengths)
    drawn = torch.rand(len(owner), 1, generator=generator)
    component = (drawn > weights.cumsum(1)[owner, : K - 1]).sum(1)
    noise = torch.randn(len(owner), D, generator=generator)
    pack = Pack({"x": means[owner, component] + SIGMA * noise}, lengths)
    return Batch(pack, {"log_weights": weights.log(), "means": means})


def truth(batch: Batch) -> Mixture:
    """The mixtures the points were drawn from."""
    means = batch.targets["means"]
    return Mixture(batch.targets["log_weights"], means, torch.full_like(means, SIGMA))


class MixtureOfGaussians(Task):
    """The parameters of a mixture per set, fitted by the likelihood of the set's own points."""

    name = "mixture_of_gaussians"
    signature = Signature(
        columns=(VectorColumn(name="x", width=D),),
        outputs=(Output(name="mixture", per="sequence", width=K * (1 + 2 * D)),),
    )
    trained_lengths = LENGTHS
    recipe = Recipe(steps=80_000, learning_rate=3e-3, evaluate_every=2_000)
    architecture = "set_transformer"

    def batch(self, generator: torch.Generator) -> Batch:
        """About 3,000 points, of many short sets or of few long ones.

        Some fifty points show where clusters are, and it is other clusters that teach more: ten
        long sets to a batch learn half as fast.
        """
        shortest, longest = LENGTHS[0] / (1 - SPREAD), LENGTHS[1] / (1 + SPREAD)
        mean = shortest * (longest / shortest) ** torch.rand((), generator=generator).item()
        low, high = round(mean * (1 - SPREAD)), round(mean * (1 + SPREAD))
        count = round(POINTS / mean)
        return sample(torch.randint(low, high + 1, (count,), generator=generator), generator)

    def validation(self) -> Batch:
        return self.tested(200, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": self.tested(1_000, held_out(3))}

    def config(self, architecture: str) -> config.ModelConfig:
        """As in the paper's decoder, one seed per cluster, and seeds that see each other."""
        own = super().config(architecture)
        if architecture not in SEEDED:
            return own
        pool = config.AttentionPool(seeds=K, heads=self.size.heads, mix=True)
        head = config.SequenceHead(pool=pool, rho=(self.size.width,))
        return own.model_copy(update={"heads": (head,)})

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return -Mixture.of_output(outputs["mixture"]).log_likelihood(batch.pack)

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        found = Mixture.of_output(outputs["mixture"])
        return {
            "log_likelihood": found.log_likelihood(batch.pack).item(),
            "log_likelihood_after_em": found.after_em(batch.pack).log_likelihood(batch.pack).item(),
            "oracle": truth(batch).log_likelihood(batch.pack).item(),
        }

    def score(self, figures: Mapping[str, float]) -> float:
        return figures["log_likelihood"]

    def tested(self, count: int, generator: torch.Generator) -> Batch:
        """Sets of the paper's sizes."""
        low, high = TESTED
        return sample(torch.randint(low, high + 1, (count,), generator=generator), generator)


TASK = MixtureOfGaussians()
