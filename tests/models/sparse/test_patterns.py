from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.sparse.attention import Tile
from models.sparse.check import matrix
from models.sparse.patterns import (
    PATTERNS,
    Columns,
    Globals,
    OwnBlock,
    Pattern,
    Random,
    Residue,
    Star,
    Union,
    Window,
    assign,
)

SIZED = (Window, Residue, OwnBlock, Columns, Star, Globals)
ELEMENTARY = st.one_of(
    st.builds(lambda kind, size: kind(size), st.sampled_from(SIZED), st.integers(1, 40)),
    st.builds(Random, st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 9)),
)
ANY = st.one_of(
    ELEMENTARY,
    st.builds(Union, st.lists(ELEMENTARY, min_size=1, max_size=3).map(tuple)),
    st.builds(lambda a, b, c: Union((Union((a, b)), c)), ELEMENTARY, ELEMENTARY, ELEMENTARY),
)


def pairs(tile: Tile) -> Tensor:
    """(2, connections): the query and the key of every unmasked place."""
    mask = tile.mask()
    query = tile.queries[:, :, None].expand_as(mask)
    key = tile.keys[:, None, :].expand_as(mask)
    return torch.stack([query[mask], key[mask]])


def places(pattern: Pattern, n: int) -> int:
    return sum(tile.mask().numel() for tile in pattern.tiles(n))


@settings(max_examples=200, deadline=None)
@given(pattern=ANY, n=st.integers(0, 90))
def test_every_connection_has_exactly_one_place(pattern: Pattern, n: int) -> None:
    count = torch.zeros(n, n, dtype=torch.int64)
    for query, key in (pairs(tile) for tile in pattern.tiles(n)):
        count.index_put_((query, key), torch.ones_like(query), accumulate=True)
    assert torch.equal(count, matrix(pattern, n).long())


@settings(max_examples=100, deadline=None)
@given(pattern=ANY, n=st.integers(0, 90))
def test_no_query_comes_twice_in_a_tile(pattern: Pattern, n: int) -> None:
    for tile in pattern.tiles(n):
        queries = tile.queries[tile.queries >= 0].tolist()
        assert len(set(queries)) == len(queries)


@settings(max_examples=50, deadline=None)
@given(pattern=ANY, n=st.integers(0, 90))
def test_every_token_reads_itself(pattern: Pattern, n: int) -> None:
    assert matrix(pattern, n).diagonal().all()


@pytest.mark.parametrize("n", [1000, 10_000])
@pytest.mark.parametrize(
    "pattern",
    [kind(size) for kind in SIZED for size in (1, 2, 32, 100)]
    + [Random(8), *PATTERNS["bigbird"](64, 2, 8)]
    + [Union(PATTERNS[name](32)) for name in ("strided", "fixed")],
    ids=str,
)
def test_places_are_at_most_three_per_connection(pattern: Pattern, n: int) -> None:
    connections = sum(int(tile.mask().sum()) for tile in pattern.tiles(n))
    assert places(pattern, n) <= 3 * connections


@pytest.mark.parametrize("kind", SIZED)
def test_a_pattern_wider_than_the_sequence_has_few_places(kind: type[Pattern]) -> None:
    assert places(kind(1000), 10) <= 3 * 10 * 10  # type: ignore[call-arg]


def test_window_reads_half_its_width_to_each_side() -> None:
    assert matrix(Window(5), 7)[3].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]


def test_residue_reads_every_width_th_token() -> None:
    assert matrix(Residue(3), 9)[4].nonzero().flatten().tolist() == [1, 4, 7]


def test_own_block_ends_at_multiples_of_the_width() -> None:
    assert matrix(OwnBlock(3), 8)[4].nonzero().flatten().tolist() == [3, 4, 5]


def test_columns_are_the_last_of_whole_blocks() -> None:
    assert matrix(Columns(3), 8)[3].nonzero().flatten().tolist() == [2, 3, 5]


def test_star_wraps_around_among_the_other_tokens() -> None:
    assert matrix(Star(2), 9)[1].nonzero().flatten().tolist() == [0, 1, 2, 3, 7, 8]


def test_the_relay_reads_all() -> None:
    assert matrix(Star(1), 9)[0].all()


def test_star_counted_backwards_is_the_star_of_the_paper() -> None:
    n, width, found = 12, 2, matrix(Star(2), 12).flip(0, 1)
    ring = n - 1
    for k in range(n):
        others = {(k + step) % ring for step in range(-width, width + 1)}
        wanted = set(range(n)) if k == n - 1 else others | {n - 1}
        assert set(found[k].nonzero().flatten().tolist()) == wanted


def test_globals_read_and_are_read_by_all() -> None:
    found = matrix(Globals(2), 6)
    assert found[:2].all()
    assert found[:, :2].all()
    assert torch.equal(found[2:, 2:], torch.eye(4, dtype=torch.bool))


def test_a_union_reads_what_any_member_reads() -> None:
    found = matrix(Union((Window(3), Residue(4))), 20)
    assert torch.equal(found, matrix(Window(3), 20) | matrix(Residue(4), 20))


def plain_key(query: int, draw: int, seed: int, head: int, n: int) -> int:
    prime, state = 2**31 - 1, query
    for word in (0, seed % prime, head, draw):
        state = pow(state + word + 1_234_567_891, 5, prime)
    return state % n


def test_random_keys_are_those_of_unbounded_integers() -> None:
    n, pattern = 500, Random(4, 2**50, 3)
    for row, found in enumerate(matrix(pattern, n)):
        wanted = {row} | {plain_key(row, draw, 2**50, 3, n) for draw in range(4)}
        assert set(found.nonzero().flatten().tolist()) == wanted


def test_random_keys_are_uniform() -> None:
    n = 1000
    read = matrix(Random(100), n).float().sum(0)
    expected = 1 + (n - 1) * (1 - (1 - 1 / n) ** 100)
    assert abs(read.mean() - expected) < 0.5
    # the variance of a binomial; a row that repeats in other rows would raise it
    assert 0.8 < read.var() / (expected * (1 - expected / n)) < 1.25


@pytest.mark.parametrize(
    "others", [Random(16, seed=1), Random(16, head=1), Random(16, seed=1, head=1)], ids=str
)
def test_seeds_and_heads_draw_independent_keys(others: Random) -> None:
    n, off = 512, ~torch.eye(512, dtype=torch.bool)
    one, two = (matrix(pattern, n) & off for pattern in (Random(16), others))
    for shift in (-1, 0, 1):
        common = int((one & two.roll(shift, 0)).sum())
        assert common < 2 * n * 16 * 16 / n  # the mean of independent draws, doubled


def test_sequential_takes_the_patterns_in_turn() -> None:
    one, two = PATTERNS["strided"](4)
    found = [assign((one, two), "sequential", 3, layer) for layer in range(3)]
    assert found == [[(one, 3)], [(two, 3)], [(one, 3)]]


def test_multihead_divides_the_heads() -> None:
    one, two = PATTERNS["fixed"](4)
    assert assign((one, two), "multihead", 5, 0) == [(one, 3), (two, 2)]


def test_union_gives_every_head_all_patterns() -> None:
    patterns = PATTERNS["fixed"](4)
    assert assign(patterns, "union", 5, 1) == [(Union(patterns), 5)]


def test_every_head_has_random_keys_of_its_own() -> None:
    found = assign(PATTERNS["random"](2, seed=5), "union", 2, 0)
    assert found == [(Random(2, 5, 0), 1), (Random(2, 5, 1), 1)]


def test_random_keys_differ_between_heads_inside_a_union_too() -> None:
    found = assign(PATTERNS["bigbird"](4, 1, 2), "sequential", 3, 0)
    assert [heads for _, heads in found] == [1, 1, 1]
    assert len({pattern for pattern, _ in found}) == 3


def test_multihead_with_fewer_heads_than_patterns_is_refused() -> None:
    with pytest.raises(ValueError, match="heads must be at least 2"):
        assign(PATTERNS["fixed"](4), "multihead", 1, 0)


@pytest.mark.parametrize("kind", SIZED)
def test_a_size_below_one_is_refused(kind: type[Pattern]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        kind(0)  # type: ignore[call-arg]


def test_random_refuses_a_negative_seed() -> None:
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        Random(1, -1)


def test_a_union_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="patterns must be at least 1"):
        Union(())
