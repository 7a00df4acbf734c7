"""FAVOR+ features against exact softmax attention, and what QR's signs do to them."""

from __future__ import annotations

from math import exp
from statistics import quantiles

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.cells import Cell
from models.layers.performer import key_features, orthogonal, query_features

WIDTH, TOKENS = 32, 256


def unsigned(features: int, width: int, generator: torch.Generator) -> Tensor:
    """What `orthogonal` would be without its correction of signs: (features, width)."""
    drawn = torch.randn(-(-features // width), width, width, generator=generator)
    rotations: Tensor = torch.linalg.qr(drawn)[0].mT.reshape(-1, width)[:features]
    gaussian = torch.randn(features, width, generator=generator)
    norms: Tensor = gaussian.norm(dim=1, keepdim=True)
    return rotations * norms


def _weights(kind: str, q: Tensor, k: Tensor, m: int, generator: torch.Generator) -> Tensor:
    """The approximate attention matrix, (n, n); its rows sum to 1."""
    if kind == "trig":
        omega = orthogonal(m // 2, WIDTH, generator).double()
        waves, others = q @ omega.T, k @ omega.T
        raw = waves.sin() @ others.sin().T + waves.cos() @ others.cos().T
        raw = raw * (k.square().sum(1) / 2).exp()
        return raw / raw.sum(1, keepdim=True)
    omega = _omega(kind, m, generator).double()
    raw = query_features(q, omega) @ key_features(k, omega).T
    return raw / raw.sum(1, keepdim=True)


def _omega(kind: str, m: int, generator: torch.Generator) -> Tensor:
    if kind == "independent":
        return torch.randn(m, WIDTH, generator=generator)
    return (unsigned if kind == "unsigned" else orthogonal)(m, WIDTH, generator)


def performer(kind: str, norm: float, features: tuple[int, ...], draws: int) -> Cell:
    """Quartiles over draws of the errors of output and matrix, for every number of features."""
    seen: dict[int, list[tuple[float, float]]] = {m: [] for m in features}
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        q, k, v = torch.randn(3, TOKENS, WIDTH, generator=generator).double()
        q, k = norm * normalize(q), norm * normalize(k)
        exact = torch.softmax(q @ k.T, dim=1)
        for m in features:
            missed = _weights(kind, q, k, m, generator) - exact
            output = (missed @ v).norm() / (exact @ v).norm()
            seen[m].append((float(output), float(missed.norm() / exact.norm())))
    return {
        what: {str(m): _quartiles([pair[i] for pair in seen[m]]) for m in features}
        for i, what in enumerate(("output", "matrix"))
    }


def _quartiles(errors: list[float]) -> list[float]:
    return [float(f"{one:.4g}") for one in quantiles(errors, n=4)]


def signs(width: int, blocks: int) -> Cell:
    """Mean estimate of exp(q.k) at q = k = +-u / 2, u = (1, ..., 1) / sqrt(width); it is exp(1/4).

    One estimate per block of ``width`` features; with its standard error.
    """
    found: Cell = {"truth": exp(0.25)}
    for name, draw in (("orthogonal", orthogonal), ("unsigned", unsigned)):
        omega = draw(blocks * width, width, torch.Generator().manual_seed(0)).double()
        for sign in (1, -1):
            along = sign * omega.sum(1) / width**0.5
            estimates = (along - 0.25).exp().unflatten(0, (blocks, width)).mean(1)
            error = estimates.std() / blocks**0.5
            found[f"{name} {sign:+d}"] = [round(estimates.mean().item(), 4), round(error.item(), 4)]
    return found
