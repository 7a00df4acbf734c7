from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.manifest import Summary, SummaryField
from service.pack import Array
from service.summary import FEW, Fold

ADD = Summary(name="block.0", merge="add", fields={"sum": SummaryField(shape=(3,))})
ONE = Summary(name="block.0", merge="add", fields={"sum": SummaryField(shape=(1,))})
MAX = Summary(name="block.0", merge="max", fields={"max": SummaryField(shape=(3,))})
WHOLE = Summary(
    name="block.0", merge="add", fields={"code": SummaryField(shape=(1,), dtype="int64")}
)
SOFTMAX = Summary(
    name="head.y",
    merge="softmax",
    fields={"top": SummaryField(shape=(2,)), "weighted": SummaryField(shape=(2, 3))},
)
BLOCKS = st.lists(st.integers(0, 20), min_size=1, max_size=3 * FEW)
CUTS = st.lists(st.integers(0, 200), max_size=6)


def drawn(spec: Summary, blocks: int, seed: int = 0) -> dict[str, Array]:
    """Contributions of many magnitudes: their sum depends on the order of its terms."""
    rng, found = np.random.default_rng(seed), {}
    for name, field in spec.fields.items():
        shape = (blocks, *field.shape)
        if field.dtype == "int64":
            found[name] = rng.integers(0, 2**50, shape)
        elif name == "top":
            found[name] = rng.integers(-40, 40, shape).astype(np.float32)
        else:
            wide = rng.normal(size=shape) * 10.0 ** rng.uniform(-9, 9, shape)
            found[name] = wide.astype(np.float32)
    return found


def parts(owner: Array, cuts: list[int]) -> Iterator[slice]:
    ends = sorted({min(cut, len(owner)) for cut in cuts} | {len(owner)})
    for begin, end in zip([0, *ends], ends, strict=False):
        yield slice(begin, end)


def folded(spec: Summary, rows: dict[str, Array], owner: Array, n: int, cuts: list[int]) -> Fold:
    fold = Fold(spec, n)
    for part in parts(owner, cuts):
        fold.add({name: values[part] for name, values in rows.items()}, owner[part])
    return fold


@given(BLOCKS, CUTS)
@pytest.mark.parametrize("spec", [ADD, ONE, MAX, WHOLE, SOFTMAX])
def test_no_bit_depends_on_where_parts_are_cut(
    spec: Summary, blocks: list[int], cuts: list[int]
) -> None:
    owner, n = np.repeat(np.arange(len(blocks)), blocks), len(blocks)
    rows = drawn(spec, len(owner))
    whole, cut = folded(spec, rows, owner, n, []), folded(spec, rows, owner, n, cuts)
    for name, wanted in whole.rows().items():
        np.testing.assert_array_equal(cut.rows()[name], wanted)


@given(BLOCKS)
@pytest.mark.parametrize("spec", [ADD, ONE, MAX, WHOLE, SOFTMAX])
def test_no_bit_depends_on_other_sequences(spec: Summary, blocks: list[int]) -> None:
    owner, n = np.repeat(np.arange(len(blocks)), blocks), len(blocks)
    rows = drawn(spec, len(owner))
    found = folded(spec, rows, owner, n, []).rows()
    for i in range(n):
        mine = {name: values[owner == i] for name, values in rows.items()}
        alone = folded(spec, mine, np.zeros(blocks[i], int), 1, []).rows()
        for name, wanted in alone.items():
            np.testing.assert_array_equal(found[name][i], wanted[0])


def test_sums_are_left_folds_in_float64() -> None:
    rows = drawn(ADD, 50)
    total = np.zeros(3)
    for row in rows["sum"]:
        total = total + row
    found = folded(ADD, rows, np.zeros(50, int), 1, []).rows()["sum"][0]
    np.testing.assert_array_equal(found, total.astype(np.float32))


def test_whole_numbers_stay_exact() -> None:
    fold = Fold(WHOLE, 1)
    fold.add({"code": np.array([[2**53], [1], [2]])}, np.zeros(3, int))
    assert fold.rows()["code"].tolist() == [[2**53 + 3]]


def test_sums_under_a_running_maximum_are_what_they_are_under_the_largest() -> None:
    rows = drawn(SOFTMAX, 40)
    found = folded(SOFTMAX, rows, np.zeros(40, int), 1, [7, 20]).rows()
    top = rows["top"].max(0)
    weighted = (rows["weighted"] * np.exp2(rows["top"] - top)[..., None].astype(float)).sum(0)
    np.testing.assert_array_equal(found["top"][0], top)
    np.testing.assert_allclose(found["weighted"][0], weighted, rtol=1e-6)


def test_of_no_token_there_is_nothing() -> None:
    assert Fold(ADD, 2).rows()["sum"].tolist() == [[0, 0, 0]] * 2
    assert np.isneginf(Fold(MAX, 1).rows()["max"]).all()
    empty = Fold(SOFTMAX, 1).rows()
    assert np.isneginf(empty["top"]).all()
    assert not empty["weighted"].any()


@given(BLOCKS, CUTS)
@pytest.mark.parametrize("spec", [ADD, ONE, MAX, WHOLE, SOFTMAX])
def test_a_state_that_was_kept_goes_on_as_if_it_had_not_been(
    spec: Summary, blocks: list[int], cuts: list[int]
) -> None:
    owner, n = np.repeat(np.arange(len(blocks)), blocks), len(blocks)
    rows, fold = drawn(spec, len(owner)), Fold(spec, n)
    for part in parts(owner, cuts):
        fold = Fold.of(spec, fold.state)
        fold.add({name: values[part] for name, values in rows.items()}, owner[part])
    for name, wanted in folded(spec, rows, owner, n, []).rows().items():
        np.testing.assert_array_equal(fold.rows()[name], wanted)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9))
@pytest.mark.parametrize("spec", [ADD, ONE, MAX, WHOLE, SOFTMAX])
def test_parts_that_were_summed_up_apart_merge(
    spec: Summary, counts: list[tuple[int, int]]
) -> None:
    n, sides = len(counts), list(zip(*counts, strict=True))
    owners = [np.repeat(np.arange(n), side) for side in sides]
    rows = [drawn(spec, len(owner), seed) for seed, owner in enumerate(owners)]
    first, second = (folded(spec, r, o, n, []) for r, o in zip(rows, owners, strict=True))
    whole = Fold.of(spec, first.state)
    whole.add(rows[1], owners[1])
    first.merge(second)
    for name, wanted in whole.rows().items():
        np.testing.assert_allclose(first.rows()[name], wanted, rtol=1e-6, atol=1e-3)
