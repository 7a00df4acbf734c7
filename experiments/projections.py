"""Linformer's projections of exact softmax attention, as functions of q, k, v and k's size.

Shapes: q, k, v (B, n, w); exact A (B, n, n); R, E, F (k, n); answers (B, n, w).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from experiments.cells import Cell

WIDTH, SPAN, RATE = 32, 32, 0.03
Data = Literal["noise", "smooth"]
Method = Callable[["Attention", int, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Attention:
    """Queries (already scaled), keys and values of some sequences, and what attention gives."""

    query: Tensor
    key: Tensor
    value: Tensor

    @classmethod
    def drawn(cls, data: Data, sequences: int, n: int, generator: torch.Generator) -> Attention:
        """Gaussian tokens through three fixed random maps; scores have a deviation of about 2."""
        tokens = torch.randn(sequences, n + SPAN - 1, WIDTH, generator=generator)
        if data == "smooth":
            tokens = avg_pool1d(tokens.mT, SPAN, stride=1).mT * sqrt(SPAN)
        maps = torch.randn(3, WIDTH, WIDTH, generator=torch.Generator().manual_seed(0))
        q, k, v = (tokens[:, :n] @ (one / sqrt(WIDTH)) for one in maps)
        return cls(q * 2 / sqrt(WIDTH), k, v)

    @property
    def weights(self) -> Tensor:
        """A, (B, n, n)."""
        return torch.softmax(self.query @ self.key.mT, dim=2)

    def projected(self, e: Tensor, f: Tensor) -> Tensor:
        """softmax(q (E k)^T) F v: Linformer, equation 7."""
        read: Tensor = torch.softmax(self.query @ (e @ self.key).mT, dim=2) @ (f @ self.value)
        return read


def gaussian(k: int, n: int, generator: torch.Generator) -> Tensor:
    """R with entries N(0, 1/k)."""
    return torch.randn(k, n, generator=generator) / sqrt(k)


def blocks(k: int, n: int) -> Tensor:
    """The mean of each of k blocks of n / k neighbours."""
    return torch.eye(k).repeat_interleave(n // k, dim=1) * (k / n)


def jl(seen: Attention, k: int, generator: torch.Generator) -> Tensor:
    """A R^T R v: what Theorem 2's proof starts from."""
    r = gaussian(k, seen.key.shape[1], generator)
    return (seen.weights @ r.T) @ (r @ seen.value)


def theorem(seen: Attention, k: int, generator: torch.Generator) -> Tensor:
    """E = delta R and F = exp(-delta) R with delta = 2^-n, as its proof ends."""
    n = seen.key.shape[1]
    r, delta = gaussian(k, n, generator), torch.tensor(2.0).pow(-n)
    return seen.projected(delta * r, (-delta).exp() * r)


def random(seen: Attention, k: int, generator: torch.Generator) -> Tensor:
    """E = F = R: how a Linformer begins."""
    r = gaussian(k, seen.key.shape[1], generator)
    return seen.projected(r, r)


def pooled(seen: Attention, k: int, _: torch.Generator) -> Tensor:
    """E and F average neighbours."""
    mean = blocks(k, seen.key.shape[1])
    return seen.projected(mean, mean)


METHODS: dict[str, Method] = {"jl": jl, "theorem": theorem, "random": random, "pooled": pooled}
REFERENCES = ("zero", "mean of v")


def fitted(data: Data, n: int, sizes: list[int], steps: int, batch: int) -> dict[int, list[Tensor]]:
    """E and F of every size, fitted to attention's answers on fresh sequences by Adam."""
    generator = torch.Generator().manual_seed(7)
    made = {k: [blocks(k, n).requires_grad_(), blocks(k, n).requires_grad_()] for k in sizes}
    every = [one for both in made.values() for one in both]
    optimiser = torch.optim.Adam(every, RATE / n)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        seen = Attention.drawn(data, batch, n, generator)
        wanted = seen.weights @ seen.value
        optimiser.zero_grad()
        for e, f in made.values():
            torch.autograd.backward((seen.projected(e, f) - wanted).square().mean())
        optimiser.step()
        schedule.step()
    return made


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it: sizes k, sequences to judge by, and how long to fit."""

    sizes: tuple[int, ...]
    draws: int
    steps: int
    batch: int = 4


def cell(data: Data, n: int, plan: Plan) -> Cell:
    """Errors of every method at every size up to n, medians over sequences."""
    sizes = [k for k in plan.sizes if k <= n]
    trained = fitted(data, n, sizes, plan.steps, plan.batch)
    found: dict[str, dict[str, list[Errors]]] = {}
    with torch.no_grad():
        for seed in range(plan.draws):
            generator = torch.Generator().manual_seed(1000 + seed)
            seen = Attention.drawn(data, 1, n, generator)
            for method, k, answer in _answers(seen, sizes, trained, generator):
                found.setdefault(method, {}).setdefault(str(k), []).append(_errors(seen, answer))
    errors = {m: {k: _middle(many) for k, many in of.items()} for m, of in found.items()}
    return {"errors": errors}


Errors = tuple[float, float]


def _answers(
    seen: Attention, sizes: list[int], trained: dict[int, list[Tensor]], generator: torch.Generator
) -> list[tuple[str, int, Tensor]]:
    n = seen.key.shape[1]
    left, singular, right = torch.linalg.svd(seen.weights[0])
    made = [(name, k, how(seen, k, generator)) for name, how in METHODS.items() for k in sizes]
    for k in sizes:
        made.append(("fitted", k, seen.projected(*trained[k])))
        low_rank = (left[:, :k] * singular[:k]) @ right[:k]
        made.append(("svd", k, low_rank @ seen.value))
    mean = seen.value.mean(1, keepdim=True).expand_as(seen.value)
    return [*made, ("zero", n, torch.zeros_like(mean)), ("mean of v", n, mean)]


def _errors(seen: Attention, answer: Tensor) -> Errors:
    """Relative to |A v|; and as the theorem measures, a row's error over |its weights| |v|."""
    exact = seen.weights
    missed = exact @ seen.value - answer
    rows = missed.norm(dim=2) / (exact.norm(dim=2) * seen.value.norm())
    return float(missed.norm() / (exact @ seen.value).norm()), float(rows.mean())


def _middle(many: list[Errors]) -> dict[str, Any]:
    relative, theorems = zip(*many, strict=True)
    return {"relative": round(median(relative), 5), "theorem": round(median(theorems), 6)}
