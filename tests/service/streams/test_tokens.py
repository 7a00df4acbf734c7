from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import NumericColumn
from service.pack import Pack
from service.streams.tokens import Tokens
from tests.service.fakes import EVENTS, manifest


def pack(*lengths: int, start: int = 0, context: list[float] | None = None) -> Pack:
    total = sum(lengths)
    ids = np.arange(start, start + total)
    given = {} if context is None else {"age": np.array(context, np.float32)}
    return Pack({"x": ids}, np.array(lengths), given)


def tokens(lengths: tuple[int, int | None] = (0, None), most: int = 0) -> Tokens:
    return Tokens(manifest("m", ids=(0, 9), lengths=lengths), most)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.lists(st.integers(1, 50)))
def test_it_hands_on_all_in_order_in_any_sizes(lengths: list[int], sizes: list[int]) -> None:
    own, found = tokens(), []
    for length in lengths:
        own.add(pack(length, start=own.total))
        while sizes and own.waiting >= sizes[0]:
            (piece,) = own.take(sizes.pop(0)).values()
            found += piece.tolist()
    if own.waiting:
        found += own.take(own.waiting)["column:x"].tolist()
    assert found == list(range(sum(lengths)))


def test_what_waits_is_held_until_nothing_of_it_does() -> None:
    own = tokens()
    own.add(pack(10))
    own.add(pack(0))
    own.add(pack(20))
    assert own.bytes == 240
    own.take(4)
    assert own.bytes == 240, "a part is held as a whole"
    own.take(8)
    assert own.bytes == 160
    own.take(18)
    assert own.bytes == 0


def test_lengths_are_of_the_whole_sequence() -> None:
    own = tokens(lengths=(3, 5))
    own.add(pack(2))
    with pytest.raises(BadRequest, match="has 2 tokens, the minimum is 3"):
        own.check_end()
    own.add(pack(3))
    own.check_end()
    with pytest.raises(BadRequest, match="has 6 tokens or more, the maximum is 5"):
        own.add(pack(1))


def test_a_stream_has_a_limit_of_its_own() -> None:
    own = tokens(most=4)
    own.add(pack(4))
    with pytest.raises(BadRequest, match="has 5 tokens or more, the limit is 4 per stream"):
        own.add(pack(1))


def test_context_is_the_same_in_every_piece() -> None:
    own = Tokens(manifest("m").model_copy(update={"context": (NumericColumn(name="age"),)}), 0)
    own.add(pack(1, 2, context=[3, 3]))
    own.add(pack(0, 1, context=[3, 3]))
    assert own.context["age"].tolist() == [3]
    with pytest.raises(BadRequest, match="piece 6: age is not what it is in the first piece"):
        own.add(pack(1, 1, 1, context=[3, 4, 3]))


def test_context_that_is_missing_is_the_same_too() -> None:
    own = tokens()
    own.add(pack(1, 1, context=[np.nan, np.nan]))
    with pytest.raises(BadRequest, match="piece 3"):
        own.add(pack(1, context=[1]))


def test_context_needs_a_piece() -> None:
    with pytest.raises(BadRequest, match="one at least is needed for its context: age, land"):
        Tokens(EVENTS, 0).check_end()
