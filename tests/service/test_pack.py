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
def test_block_sums_folded_are_the_sums_per_sequence(lengths: np.ndarray, most: int) -> None:
    values = np.random.default_rng(0).normal(size=(lengths.sum(), 3)).astype(np.float32)
    blocks, sums = Blocks.of(lengths), [np.zeros((0, 3), np.float32)]
    for part in blocks.slices(most):
        padded = np.concatenate([values[part.tokens], np.zeros((1, 3), np.float32)])
        block_sums = padded[part.rows].sum(1)
        assert not block_sums[-1].any()
        sums.append(block_sums[:-1])
    found = blocks.fold(np.concatenate(sums), len(lengths))
    ends = np.cumsum(lengths)
    wanted = [values[e - n : e].sum(0, np.float64) for e, n in zip(ends, lengths, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


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
