"""Fits a model to a target per token, as the Sumformer paper's experiments do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from models import config
from models.model import Model
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.polynomial import relative_error

Target = Callable[[Tensor], Tensor]
PAPER = (50,) * 5  # every MLP of the paper: 5 hidden layers of 50 units, ReLU (section 5)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to fit: steps of ``batch`` sequences; validated every so many."""

    steps: int
    batch: int = 50
    rate: float = 3e-3
    every: int = 500
    decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Sets:
    """Sequences of n tokens uniform in [0, 1]^d, with their targets: both (B, n, d)."""

    tokens: Tensor
    wanted: Tensor

    @classmethod
    def drawn(cls, target: Target, count: int, n: int, d: int, generator: torch.Generator) -> Sets:
        """Fresh ones."""
        tokens = torch.rand(count, n, d, generator=generator)
        return cls(tokens, target(tokens))

    def pack(self) -> Pack:
        """As the model reads them."""
        count, n, _ = self.tokens.shape
        return Pack({"x": self.tokens.flatten(0, 1)}, torch.full((count,), n))


def signature(d: int) -> Signature:
    """Vectors in, vectors out."""
    return Signature(columns=(VectorColumn(width=d),), outputs=(Output(per="token", width=d),))


def sumformer(d: int, pool: config.Pool) -> Model:
    """One layer, psi as in the paper."""
    layer = config.SumformerLayer(pool=pool, psi=PAPER, width=d)
    return Model(
        config.ModelConfig(
            architecture="sumformer",
            signature=signature(d),
            blocks=(config.Block(mixing=layer, residual=False),),
            heads=(config.TokenHead(),),
            activation="relu",
        )
    )


def fixed(points: Sets, batch: int, generator: torch.Generator) -> Iterator[Sets]:
    """The same points in a new order every epoch; what is left of an epoch is dropped."""
    while True:
        order = torch.randperm(len(points.tokens), generator=generator)
        for chosen in order.split(batch)[: len(order) // batch]:
            yield Sets(points.tokens[chosen], points.wanted[chosen])


def fresh(target: Target, batch: int, n: int, d: int, generator: torch.Generator) -> Iterator[Sets]:
    """New points at every step."""
    while True:
        yield Sets.drawn(target, batch, n, d, generator)


def fit(model: Model, batches: Iterator[Sets], held_out: Sets, budget: Budget) -> list[float]:
    """Minimise the squared error -> the relative L2 error on held-out data at every validation."""
    scale = held_out.wanted.std()
    optimiser = torch.optim.AdamW(
        model.parameters(), budget.rate, weight_decay=budget.decay, fused=True
    )
    schedule = OneCycleLR(optimiser, budget.rate, total_steps=budget.steps, final_div_factor=1e3)
    curve = [error(model, held_out)]
    for step in range(1, budget.steps + 1):
        _descend(model, next(batches), scale, optimiser)
        schedule.step()
        if step % budget.every == 0 or step == budget.steps:
            curve.append(error(model, held_out))
    return curve


def _descend(model: Model, sets: Sets, scale: Tensor, optimiser: torch.optim.Optimizer) -> None:
    found = model(sets.pack())["y"]
    loss = ((found - sets.wanted.flatten(0, 1)) / scale).square().mean()
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


def error(model: Model, held_out: Sets) -> float:
    """||y' - y|| / ||y|| over all of the held-out data."""
    with torch.no_grad():
        return relative_error(model(held_out.pack())["y"], held_out.wanted.flatten(0, 1)).item()
