from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import config
from models.layers.attention import Projections, rotate
from models.layers.layer import Frame
from models.layers.transformer import TransformerLayer
from tests.models import small


@given(shift=st.integers(0, 10_000))
@settings(deadline=None)
def test_products_of_turned_rows_depend_on_the_difference_of_positions(shift: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 5, 3, 8, generator=generator, dtype=torch.float64)
    near, far = torch.arange(5), torch.arange(5) * 7
    here = (rotate(q, near) * rotate(k, far)).sum(2)
    there = (rotate(q, near + shift) * rotate(k, far + shift)).sum(2)
    torch.testing.assert_close(here, there)


def test_dense_attention_is_softmax_over_the_sequence() -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(config.TransformerLayer(heads=2), Frame(8, "gelu", None)).double()
    hidden = torch.randn(11, 8, dtype=torch.float64)
    pack = small.of(hidden, [4, 7])
    wanted = torch.cat([_definition(layer.heads, part) for part in hidden.split([4, 7])])
    torch.testing.assert_close(layer(hidden, pack), wanted)


def _definition(heads: Projections, x: torch.Tensor) -> torch.Tensor:
    """Sumformer, Definition 2.1, head by head."""
    read = []
    for h in range(heads.heads):
        own = slice(h * heads.head_width, (h + 1) * heads.head_width)
        q, k, v = (x @ m.weight[own].T for m in (heads.query, heads.key, heads.value))
        read.append(torch.softmax(q @ k.T / heads.head_width**0.5, dim=1) @ v)
    out: torch.Tensor = heads.out(torch.cat(read, dim=1))
    return out
