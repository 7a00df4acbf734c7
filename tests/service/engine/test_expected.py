"""What is still to come of work that was let in counts as what waits does."""

from __future__ import annotations

import pytest

from service.engine.admission import Load
from service.engine.engine import Engine
from service.engine.expected import Expected
from service.engine.job import Job
from service.errors import QueueFull
from tests.service.engine.doubling import Doubling, packed, tokens, with_engine
from tests.service.engine.test_admission import admission


def test_a_rest_counts_while_somebody_is_in_it_for_its_model_and_its_client() -> None:
    every = Expected()
    with every.rest(Job("m", [40], "me")) as rest, every.rest(Job("n", [7, 0], "me")):
        assert (every.waiting(), every.of("me"), every.of("you")) == ({"m": 40, "n": 8}, 48, 0)
        rest.tokens = 10
        assert (every.waiting(), every.of("me")) == ({"m": 10, "n": 8}, 18)
    assert (every.waiting(), every.of("me")) == ({}, 0)


def test_the_queue_is_bounded_in_what_is_still_to_come_as_well() -> None:
    queue, door = admission(bound=20_000)
    queue.add(Job("m", [5000]))
    with door.expected.rest(Job("m", [10_000])) as rest:
        with pytest.raises(QueueFull, match="holds 15000 tokens; 10000 more") as caught:
            door.check(Job("m", [10_000]), Load(1, 1, 1), 0.0, 0.0)
        assert caught.value.headers["Retry-After"] in ("5", "6")
        rest.tokens = 5000
        door.check(Job("m", [10_000]), Load(1, 1, 1), 0.0, 0.0)
    assert door.waiting == {"m": 5000}


def test_it_is_of_its_client_s_share_of_a_full_queue() -> None:
    _, door = admission(bound=1000)
    with door.expected.rest(Job("m", [900], "greedy")):
        with pytest.raises(QueueFull):
            door.check(Job("m", [200], "greedy"), Load(1, 1, 2), 0.0, 0.0)
        door.check(Job("m", [200], "modest"), Load(1, 0, 2), 0.0, 0.0)


def test_who_would_be_late_behind_it_is_told_at_once_and_when_to_come_again() -> None:
    _, door = admission()
    with door.expected.rest(Job("m", [10_000], "other")):
        with pytest.raises(QueueFull, match="seconds are expected") as caught:
            door.check(Job("m", [10_000], deadline=15.0), Load(1, 0, 2), 0.0, 0.0)
        assert caught.value.headers["Retry-After"] in ("5", "6")
        door.check(Job("m", [10_000], deadline=21.0), Load(1, 0, 2), 0.0, 0.0)
    door.check(Job("m", [10_000], deadline=15.0), Load(1, 0, 2), 0.0, 0.0)


def test_of_one_client_s_each_has_as_many_tokens_as_the_new_one_and_others_as_many_as_it() -> None:
    every = Expected()
    new = Job("m", [1000], "me")
    with every.rest(Job("m", [5000], "me")), every.rest(Job("m", [300], "me")):
        assert every.ahead(new, 0) == {"m": 1300}
        with every.rest(Job("n", [9000], "you")), every.rest(Job("n", [9000], "you")):
            assert every.ahead(new, 100) == {"m": 1300, "n": 100 + 1300 + 1000}


def test_a_small_job_is_not_refused_for_it_nor_one_that_goes_before() -> None:
    _, door = admission()
    with door.expected.rest(Job("m", [10**6], "other")), door.expected.rest(Job("m", [10**5])):
        door.check(Job("m", [100], deadline=1.0), Load(2, 1, 2), 0.0, 0.0)
        first = Job("m", [1000], priority=1, deadline=1.5)
        door.check(first, Load(2, 1, 2), 0.0, 0.0)


def test_an_engine_counts_it_in_its_queue_and_in_the_time_that_is_expected() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        with engine.admit(Job("double", [90], "me")) as rest:
            assert engine.queued() == {"double": 90}
            assert engine.queued_seconds() > 0
            with pytest.raises(QueueFull):
                await engine.predict("double", packed(tokens(*range(20))), client="me")
            rest.tokens = 80
            await engine.predict("double", packed(tokens(*range(20))), client="me")
        assert not sum(engine.queued().values())
        assert engine.queued_seconds() == 0

    with_engine(test)
