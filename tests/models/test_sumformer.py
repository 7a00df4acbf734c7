from __future__ import annotations

import numpy as np
import pytest
import torch

from models.config import VectorInput
from models.pack import Pack
from models.pool import SumLayer
from models.sumformer import Sumformer
from tests.conftest import CONFIGS, small_checkpoint

LENGTHS = [3, 1, 40, 2]


def tokens(model: Sumformer, n: int, seed: int) -> np.ndarray:
    rng, column = np.random.default_rng(seed), model.config.input
    if isinstance(column, VectorInput):
        return rng.normal(size=(n, column.width)).astype(np.float32)
    return rng.integers(column.low, column.high + 1, n)


def rows(model: Sumformer, sequences: list[np.ndarray], i: int) -> torch.Tensor:
    """The output rows of sequence i of a pack."""
    with torch.no_grad():
        out: torch.Tensor = model(Pack.of_sequences(sequences))
    if model.config.head.per == "sequence":
        return out[i : i + 1]
    begin = sum(map(len, sequences[:i]))
    return out[begin : begin + len(sequences[i])]


def test_one_layer_is_definition_3_1() -> None:
    """psi(x_i, sum_k phi(x_k)), written without packs, splits or deferral."""
    model = small_checkpoint("plain").model
    sequence = tokens(model, 5, 0)
    layer = model.layers[0]
    assert isinstance(layer, SumLayer)
    x = model.embed(torch.from_numpy(sequence))
    total = layer.pool.phi(x).sum(0)
    weight = torch.cat([layer.from_token.weight, layer.from_summary.weight], dim=1)
    wanted = torch.stack(
        [layer.tail(weight @ torch.cat([token, total]) + layer.from_summary.bias) for token in x]
    )
    torch.testing.assert_close(rows(model, [sequence], 0), wanted)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sequence_is_answered_alike_alone_and_in_any_pack(name: str) -> None:
    model = small_checkpoint(name).model
    sequences = [tokens(model, n, n) for n in LENGTHS]
    for i, sequence in enumerate(sequences):
        torch.testing.assert_close(rows(model, [sequence], 0), rows(model, sequences, i))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_token_never_influences_another_sequence(name: str) -> None:
    model = small_checkpoint(name).model
    sequences = [tokens(model, n, n) for n in LENGTHS]
    changed = [*sequences[:2], tokens(model, 40, 99), sequences[3]]
    assert not torch.equal(rows(model, sequences, 2), rows(model, changed, 2))
    assert torch.equal(rows(model, sequences, 1), rows(model, changed, 1))


@pytest.mark.parametrize("name", ["plain", "ids"])
def test_permuting_tokens_permutes_their_outputs(name: str) -> None:
    model = small_checkpoint(name).model
    sequence = tokens(model, 9, 0)
    order = np.random.default_rng(1).permutation(9)
    permuted = rows(model, [sequence[order]], 0)
    torch.testing.assert_close(permuted, rows(model, [sequence], 0)[order])


@pytest.mark.parametrize("name", ["stack", "pooled"])
def test_permuting_tokens_leaves_a_sequence_output(name: str) -> None:
    model = small_checkpoint(name).model
    sequence = tokens(model, 9, 0)
    torch.testing.assert_close(rows(model, [sequence[::-1].copy()], 0), rows(model, [sequence], 0))


def test_an_empty_sequence_has_an_answer_of_its_own() -> None:
    model = small_checkpoint("pooled").model
    sequences = [tokens(model, 0, 0), tokens(model, 4, 1), tokens(model, 0, 2)]
    assert torch.equal(rows(model, sequences, 0), rows(model, sequences, 2))
    assert rows(model, sequences, 0).isfinite().all()


def test_input_statistics_are_part_of_the_model() -> None:
    model = small_checkpoint("plain").model
    assert {"embed.mean", "embed.std"} <= set(model.state_dict())
    raw = tokens(model, 50, 0)
    model.embed.fit(torch.from_numpy(raw))
    scaled = model.embed(torch.from_numpy(raw))
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(3))
