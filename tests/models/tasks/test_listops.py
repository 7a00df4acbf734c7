from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.tasks.listops import CLOSE, LONG, OPERATORS, SHORT, SYMBOLS, TASK, ListOps, sample

OPERATE: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(np.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def expressions(count: int, lengths: tuple[int, int]) -> list[tuple[list[str], int]]:
    batch = sample(count, lengths, torch.Generator().manual_seed(0))
    ends = batch.pack.lengths.cumsum(0)[:-1].numpy()
    parts = np.split(batch.pack.columns["tokens"].numpy(), ends)
    texts = [[SYMBOLS[i] for i in part] for part in parts]
    return list(zip(texts, batch.targets["value"].tolist(), strict=True))


def parsed(symbols: list[str]) -> tuple[int, list[int], int]:
    """Value, numbers of arguments, depth: of exactly one expression, by a stack."""
    stack: list[tuple[str, list[int]]] = [("", [])]
    arities, deepest = [], 1
    for symbol in symbols:
        if symbol in OPERATORS:
            stack.append((symbol, []))
        elif symbol == "X":
            name, values = stack.pop()
            arities.append(len(values))
            stack[-1][1].append(OPERATE[name](values))
        else:
            stack[-1][1].append(int(symbol))
        deepest = max(deepest, len(stack) - 1 + (symbol.isdigit()))
    ((_, (value,)),) = stack
    return value, arities, deepest


@pytest.mark.parametrize(("count", "lengths"), [(200, SHORT), (20, LONG)])
def test_every_expression_has_the_value_it_is_labelled_with(
    count: int, lengths: tuple[int, int]
) -> None:
    for symbols, value in expressions(count, lengths):
        assert parsed(symbols)[0] == value


@pytest.mark.parametrize("lengths", [SHORT, LONG])
def test_lengths_stay_in_the_range_asked_for(lengths: tuple[int, int]) -> None:
    found = sample(100, lengths, torch.Generator().manual_seed(0)).pack.lengths
    assert lengths[0] <= found.min()
    assert found.max() <= lengths[1]


def test_operators_have_2_to_10_arguments_and_trees_a_depth_of_at_most_10() -> None:
    trees = [parsed(symbols) for symbols, _ in expressions(100, LONG)]
    arities = [arity for _, found, _ in trees for arity in found]
    assert set(arities) == set(range(2, 11))
    assert max(depth for _, _, depth in trees) == 10


def test_operators_are_equally_frequent() -> None:
    ids = sample(100, LONG, torch.Generator().manual_seed(0)).pack.columns["tokens"]
    counts = torch.bincount(ids, minlength=len(SYMBOLS))
    operators = counts[10:CLOSE] / counts[10:CLOSE].sum()
    torch.testing.assert_close(operators, torch.full((4,), 0.25), atol=0.02, rtol=0)


def test_batches_are_the_same_for_the_same_seed_only() -> None:
    one, same, other = (TASK.batch(torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one.pack.columns["tokens"], same.pack.columns["tokens"])
    assert not torch.equal(one.pack.columns["tokens"][:50], other.pack.columns["tokens"][:50])


def test_the_published_lengths_are_one_argument_away() -> None:
    task = ListOps(*LONG, batch=4)
    assert task.signature.max_length == 1999
    assert task.batch(torch.Generator().manual_seed(0)).pack.sequences == 4


@pytest.mark.parametrize("lengths", [(1, 1), (4, 5), (2_000, 4_000)])
def test_any_lengths_that_expressions_have_can_be_asked_for(lengths: tuple[int, int]) -> None:
    lengths_found = ListOps(*lengths, batch=3).batch(torch.Generator().manual_seed(0)).pack.lengths
    assert lengths[0] <= lengths_found.min()
    assert lengths_found.max() <= lengths[1]


def test_lengths_that_no_expression_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.tasks.listops.PATIENCE", 4)
    with pytest.raises(ValueError, match="no expression in 4,096 has 2 to 3 symbols"):
        ListOps(2, 3)


@pytest.mark.parametrize(("low", "high", "batch"), [(0, 9, 1), (9, 8, 1), (1, 9, 0)])
def test_ranges_that_make_no_sense_are_refused(low: int, high: int, batch: int) -> None:
    with pytest.raises(ValueError, match="low and batch are at least 1, high is not below low"):
        ListOps(low, high, batch)
