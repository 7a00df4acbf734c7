from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.sparse import check as pattern_check
from models.sparse.attention import Tile
from models.sparse.check import Report, check, matrix
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
)


@dataclass(frozen=True)
class Table(Pattern):
    """Any pattern of a few tokens, by rows of keys."""

    rows: tuple[tuple[int, ...], ...]

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        table = torch.zeros(n, n, dtype=torch.bool)
        for token, keys in enumerate(self.rows):
            table[token, list(keys)] = True
        return table[query, key]

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        raise NotImplementedError


@st.composite
def tables(draw: st.DrawFn, most: int = 6) -> list[Table]:
    n = draw(st.integers(1, most))
    keys = st.sets(st.integers(0, n - 1), max_size=2).map(sorted).map(tuple)
    rows = st.tuples(*[keys] * n)
    return draw(st.lists(st.builds(Table, rows), min_size=1, max_size=2))


def seen(patterns: list[Table], steps: int) -> list[set[int]]:
    """S_k^steps, as the paper writes it."""
    sets = [set(keys) for keys in patterns[0].rows]
    for t in range(2, steps + 1):
        rows = patterns[(t - 1) % len(patterns)].rows
        sets = [set().union(*(sets[j] for j in keys)) for keys in rows]
    return sets


@pytest.mark.parametrize(
    ("patterns", "sparsity", "reach"),
    [
        (PATTERNS["strided"](16), (93.5, 93.8), 3),
        ((Union(PATTERNS["strided"](16)),), (87.6,), 3),
        (PATTERNS["fixed"](16), (93.8, 93.4), 2),
        ((Union(PATTERNS["fixed"](16)),), (87.9,), 2),
        (PATTERNS["star"](16), (86.4,), 2),
    ],
    ids=str,
)
def test_patterns_of_the_paper_are_universal_at_its_sizes(
    patterns: tuple[Pattern, ...], sparsity: tuple[float, ...], reach: int
) -> None:
    report = check(patterns, 256)
    assert tuple(round(100 * share, 1) for share in report.sparsity) == sparsity
    assert report.reach == reach
    assert report.path == tuple(range(256))
    assert report.universal


@pytest.mark.parametrize("width", [2, 11])
@pytest.mark.parametrize("name", ["window_global", "bigbird"])
def test_windows_beside_a_global_token_are_universal_and_reach_all_in_two_layers(
    name: str, width: int
) -> None:
    more = {"keys": 11} if name == "bigbird" else {}
    report = check(PATTERNS[name](width=width, count=1, **more), 128)
    assert report.self_loops
    assert report.path == tuple(range(128))
    assert report.reach == 2
    assert report.universal


def test_a_window_of_one_token_beside_global_tokens_is_not_universal() -> None:
    report = check(PATTERNS["window_global"](width=1, count=2), 128)
    assert report.hamiltonian == "no"
    assert report.universal is False


def test_connections_are_counted_per_pattern() -> None:
    assert check((Residue(2), Window(2)), 4).connections == (8, 10)


@pytest.mark.parametrize("n", [0, 1])
def test_sequences_without_pairs_are_universal(n: int) -> None:
    report = check(PATTERNS["strided"](4), n)
    assert report.universal
    assert report.reach == 1


@settings(max_examples=150, deadline=None)
@given(patterns=tables())
def test_reach_is_the_least_number_of_layers(patterns: list[Table]) -> None:
    n = len(patterns[0].rows)
    full = [set(range(n))] * n
    wanted = next((u for u in range(1, 100) if seen(patterns, u) == full), None)
    assert check(patterns, n).reach == wanted


@settings(max_examples=150, deadline=None)
@given(patterns=tables())
def test_reach_with_self_loops_is_the_least_number_of_layers(patterns: list[Table]) -> None:
    n = len(patterns[0].rows)
    patterns = [
        replace(table, rows=tuple((*keys, k) for k, keys in enumerate(table.rows)))
        for table in patterns
    ]
    full = [set(range(n))] * n
    wanted = next((u for u in range(1, 100) if seen(patterns, u) == full), None)
    assert check(patterns, n).reach == wanted


@settings(max_examples=150, deadline=None)
@given(patterns=tables())
def test_exact_answers_are_those_of_trying_all_orders(patterns: list[Table]) -> None:
    n = len(patterns[0].rows)
    reads = torch.stack([matrix(table, n) for table in patterns]).any(0).tolist()
    wanted = any(
        all(reads[order[i + 1]][order[i]] for i in range(n - 1)) for order in permutations(range(n))
    )
    report = check(patterns, n)
    assert report.hamiltonian == ("yes" if wanted else "no")
    assert (report.path is not None) == wanted


@settings(max_examples=150, deadline=None)
@given(patterns=tables(most=7))
def test_proofs_and_guesses_never_contradict_the_exact_search(patterns: list[Table]) -> None:
    n = len(patterns[0].rows)
    exact = check(patterns, n).hamiltonian
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pattern_check, "_EXACT_TOKENS", 0)
        assert check(patterns, n).hamiltonian in (exact, "unknown")


def follows(patterns: tuple[Pattern, ...], path: tuple[int, ...], n: int) -> bool:
    reads = torch.stack([matrix(pattern, n) for pattern in patterns]).any(0)
    return sorted(path) == list(range(n)) and bool(reads[list(path[1:]), list(path[:-1])].all())


@pytest.mark.parametrize("patterns", [(Random(25),), (Random(12, 3),), (Globals(110),)])
def test_a_path_is_found_where_no_order_is_evident(patterns: tuple[Pattern, ...]) -> None:
    report = check(patterns, 200)
    assert report.hamiltonian == "yes"
    assert report.path is not None
    assert follows(patterns, report.path, 200)


@pytest.mark.parametrize(
    "pattern", [Residue(4), OwnBlock(4), Columns(4), Globals(2), Random(2)], ids=str
)
def test_the_absence_of_a_path_is_proven_for_long_sequences(pattern: Pattern) -> None:
    report = check((pattern,), 200)
    assert report.hamiltonian == "no"
    assert report.path is None
    assert report.universal is False


def test_a_window_reaches_as_far_as_it_slides() -> None:
    assert check((Window(5),), 101).reach == 50


def test_blocks_alone_never_reach_all() -> None:
    assert check((OwnBlock(4),), 20).reach is None


def test_a_missing_self_loop_is_reported() -> None:
    report = check((Table(((0, 1), (0,))),), 2)
    assert not report.self_loops
    assert report.universal is False


def test_universal_is_open_where_only_the_path_is() -> None:
    assert Report(True, "unknown", None, 2, (1,), (0.5,)).universal is None


def test_star_is_universal_at_every_small_length() -> None:
    assert all(check((Star(1),), n).universal for n in range(20))


def test_sequences_too_long_for_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n must be in 0\.\.4096, got 4097"):
        check((Window(3),), 4097)


def test_checking_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="patterns must be at least 1"):
        check((), 4)
