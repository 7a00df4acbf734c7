"""Token-wise networks as lists of affine maps with an activation between them, to compute with.

What the proofs of universality do with feed-forward layers: side by side, one after the other, and
the identity, which an activation a with a(x) - a(-x) = x (GELU, ReLU) carries through exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.mlp import MLP


@dataclass(frozen=True, slots=True)
class Affine:
    """x -> W x + b: weight (out, in), bias (out,), in float64."""

    weight: Tensor
    bias: Tensor

    def after(self, first: Affine) -> Affine:
        """This map of the other's values."""
        return Affine(self.weight @ first.weight, self.weight @ first.bias + self.bias)


Network = tuple[Affine, ...]


def linear(weight: Tensor, bias: Tensor | None = None) -> Network:
    """One affine map; no bias is a bias of zero."""
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return (Affine(weight.detach().double(), bias.detach().double()),)


def of(module: nn.Module) -> Network:
    """The maps of an MLP, a linear map, or a sequence of linear maps and activations."""
    maps = [m for m in module.modules() if isinstance(m, nn.Linear)]
    return tuple(linear(m.weight, m.bias)[0] for m in maps)


def chain(first: Network, second: Network) -> Network:
    """second(first(x)): the last map of one and the first of the other become one."""
    return (*first[:-1], second[0].after(first[-1]), *second[1:])


def identity(keep: Tensor, depth: int) -> Network:
    """x -> K x (out, in), through ``depth`` maps: exact, as a(y) - a(-y) = y."""
    one = torch.eye(len(keep), dtype=torch.float64)
    if depth == 1:
        return linear(keep)
    both, back = torch.cat([one, -one]), torch.cat([one, -one], dim=1)
    middle = linear(both @ back) * (depth - 2)
    return (*linear(both @ keep.double()), *middle, *linear(back))


def side_by_side(parts: Sequence[Network]) -> Network:
    """x -> [f(x), g(x), ...]; the shallow ones are carried on to the depth of the deepest."""
    depth = max(map(len, parts))
    deep = [_deepened(part, depth) for part in parts]
    first = Affine(
        torch.cat([part[0].weight for part in deep]), torch.cat([part[0].bias for part in deep])
    )
    later = (_diagonal([part[i] for part in deep]) for i in range(1, depth))
    return (first, *later)


@torch.no_grad()
def write(network: Network, mlp: MLP) -> None:
    """Put the maps into an MLP of the same shape."""
    maps = [m for m in mlp.modules() if isinstance(m, nn.Linear)]
    for own, step in zip(maps, network, strict=True):
        own.weight.copy_(step.weight)
        own.bias.copy_(step.bias)


def hidden_widths(network: Network) -> tuple[int, ...]:
    """The widths between the maps."""
    return tuple(len(step.bias) for step in network[:-1])


def _deepened(network: Network, depth: int) -> Network:
    more = depth - len(network)
    if not more:
        return network
    width = len(network[-1].bias)
    return chain(network, identity(torch.eye(width, dtype=torch.float64), more + 1))


def _diagonal(steps: Sequence[Affine]) -> Affine:
    weight = torch.block_diag(*(step.weight for step in steps))
    return Affine(weight, torch.cat([step.bias for step in steps]))
