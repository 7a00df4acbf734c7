from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.pack import BLOCK, Blocks, Pack

LENGTHS = st.lists(st.integers(0, 5 * BLOCK), min_size=1, max_size=30).map(np.array)


def test_a_pack_lays_sequences_end_to_end_and_splits_them_again() -> None:
    sequences = [np.arange(2 * n, dtype=np.float32).reshape(n, 2) for n in (3, 0, 1)]
    pack = Pack.of("x", sequences)
    assert pack.tokens == 4
    for found, wanted in zip(pack.split(pack.columns["x"]), sequences, strict=True):
        np.testing.assert_array_equal(found, wanted)


@given(LENGTHS, st.integers(1, 200))
def test_slices_cover_every_token_once_in_order(lengths: np.ndarray, most: int) -> None:
    slices = list(Blocks.of(lengths).slices(most))
    covered = [i for s in slices for i in range(s.tokens.start, s.tokens.stop)]
    assert covered == list(range(lengths.sum()))
    assert all(s.tokens.stop - s.tokens.start <= max(most, BLOCK) for s in slices)


@given(LENGTHS, st.integers(1, 200))
def test_owners_are_the_sequences_the_tokens_came_from(lengths: np.ndarray, most: int) -> None:
    wanted = np.repeat(np.arange(len(lengths)), lengths)
    slices = Blocks.of(lengths).slices(most)
    found = [s.owner + s.sequences.start for s in slices]
    np.testing.assert_array_equal(np.concatenate([*found, np.zeros(0, int)]), wanted)


@given(LENGTHS, st.integers(1, 200))
def test_places_are_where_tokens_lie_among_the_rows(lengths: np.ndarray, most: int) -> None:
    for part in Blocks.of(lengths).slices(most):
        tokens = np.arange(part.tokens.stop - part.tokens.start)
        np.testing.assert_array_equal(part.rows.flatten()[part.places], tokens)
        np.testing.assert_array_equal(part.block[part.places // BLOCK], part.owner)


@given(LENGTHS, st.integers(1, 200))
def test_positions_count_from_each_sequence_s_start(lengths: np.ndarray, most: int) -> None:
    found = [s.position for s in Blocks.of(lengths).slices(most)]
    wanted = [np.arange(n) for n in lengths]
    np.testing.assert_array_equal(np.concatenate([*found, []]), np.concatenate([*wanted, []]))


@given(LENGTHS, st.integers(1, 200))
def test_sizes_count_the_tokens_of_each_block(lengths: np.ndarray, most: int) -> None:
    for part in Blocks.of(lengths).slices(most):
        tokens = part.tokens.stop - part.tokens.start
        real = (part.rows < tokens).sum(1)
        np.testing.assert_array_equal(real, part.sizes[:, 0])
        assert part.sizes[-1, 0] == 0


@given(LENGTHS, LENGTHS)
def test_blocks_of_a_sequence_do_not_depend_on_its_neighbours(
    before: np.ndarray, after: np.ndarray
) -> None:
    alone = Blocks.of(np.array([70]))
    packed = Blocks.of(np.concatenate([before, [70], after]))
    mine = packed.owner == len(before)
    np.testing.assert_array_equal(packed.sizes[mine], alone.sizes)
    np.testing.assert_array_equal(packed.starts[mine] - before.sum(), alone.starts)


def mixed() -> Pack:
    columns = {"x": np.arange(12.0).reshape(6, 2), "id": np.arange(6)}
    return Pack(columns, np.array([2, 0, 4]), {"who": np.array([7, 8, 9])})


def test_taking_sequences_takes_their_tokens_and_context() -> None:
    taken = mixed().take(np.array([2, 1]))
    assert taken.lengths.tolist() == [4, 0]
    assert taken.columns["id"].tolist() == [2, 3, 4, 5]
    assert taken.columns["x"][0].tolist() == [4, 5]
    assert taken.context["who"].tolist() == [9, 8]


def test_packs_are_joined_end_to_end() -> None:
    joined = Pack.join([mixed(), mixed()])
    assert joined.lengths.tolist() == [2, 0, 4] * 2
    assert joined.columns["id"].tolist() == [*range(6)] * 2
    assert joined.context["who"].tolist() == [7, 8, 9] * 2


def test_the_first_of_an_empty_sequence_is_nothing() -> None:
    assert mixed().first("id").tolist() == [0, 0, 2]
    assert mixed().first("x").tolist() == [[0, 1], [0, 0], [4, 5]]
