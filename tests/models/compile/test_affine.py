from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.compile.affine import Network, chain, identity, linear, of, side_by_side, write
from models.mlp import MLP

GELU = nn.GELU()


def mlp(*hidden: int) -> MLP:
    """Seeded; its biases, which start at zero, are drawn too."""
    torch.manual_seed(len(hidden))
    made = MLP(3, hidden, 3, "gelu").double()
    for name, weights in made.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(weights)
    return made


def run(network: Network, values: Tensor, activation: nn.Module) -> Tensor:
    """What the network stands for: values (T, in) -> (T, out)."""
    for i, step in enumerate(network):
        values = values if i == 0 else activation(values)
        values = values @ step.weight.T + step.bias
    return values


def rows() -> Tensor:
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("activation", [nn.GELU(), nn.ReLU()])
def test_the_identity_passes_through_any_depth(depth: int, activation: nn.Module) -> None:
    keep = torch.eye(3, dtype=torch.float64)[1:]
    found = run(identity(keep, depth), rows(), activation)
    torch.testing.assert_close(found, rows()[:, 1:])


def test_a_chain_is_one_after_the_other() -> None:
    first, second = mlp(5), mlp(4, 6)
    found = run(chain(of(first), of(second)), rows(), GELU)
    torch.testing.assert_close(found, second(first(rows())))


def test_side_by_side_is_both_at_any_depths() -> None:
    shallow, deep = mlp(), mlp(4, 6)
    found = run(side_by_side([of(shallow), of(deep)]), rows(), GELU)
    torch.testing.assert_close(found, torch.cat([shallow(rows()), deep(rows())], dim=1))


def test_writing_into_an_mlp_of_its_shape_is_exact() -> None:
    network: Network = chain(of(mlp(5)), linear(torch.eye(3, dtype=torch.float64)))
    target = MLP(3, (5,), 3, "gelu").double()
    write(network, target)
    torch.testing.assert_close(target(rows()), run(network, rows(), GELU))
