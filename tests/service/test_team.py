from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pack import BLOCK
from service.team import LEAST, Team


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_order_of_their_items(count: int) -> None:
    gates = [threading.Event() for _ in range(20)]

    def work(i: int) -> int:
        if i % count == 0 and count > 1:
            assert gates[i + 1].wait(10)  # the first of those at work ends after the second
        gates[i].set()
        return i * i

    assert list(Team(count).map(work, range(18))) == [i * i for i in range(18)]


def test_several_work_at_a_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert list(Team(2).map(lambda _: both.wait() < 2, range(4))) == [True] * 4


def test_only_a_few_are_begun_before_they_are_asked_for() -> None:
    begun = 0

    def items() -> Iterator[int]:
        nonlocal begun
        for i in range(100):
            begun += 1
            yield i

    found = Team(2).map(lambda i: i, items())
    assert next(found) == 0
    assert begun <= 2


def test_an_error_comes_in_its_place_and_others_can_go_on() -> None:
    team = Team(2)
    found = team.map(lambda i: 1 / (i - 2), [0, 1, 2, 3])
    assert [next(found), next(found)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert list(team.map(abs, [-1])) == [1]


def test_nothing_of_what_has_failed_goes_on_beside_what_comes_next() -> None:
    ended = threading.Event()

    def work(i: int) -> None:
        if i == 0:
            raise ArithmeticError
        time.sleep(0.1)
        ended.set()

    with pytest.raises(ArithmeticError):
        list(Team(2).map(work, [0, 1]))
    assert ended.is_set()


@given(st.integers(0, 10**6), st.integers(1, 2**16), st.integers(1, 8))
def test_slices_are_even_among_workers(tokens: int, most: int, count: int) -> None:
    size = Team(count).slice_tokens(tokens, most)
    assert 1 <= size <= most
    assert size == most or size % BLOCK == 0
    if size > LEAST and size < most:
        fewest = math.ceil(math.ceil(tokens / most) / count)
        assert math.ceil(tokens / (size * count)) == fewest
