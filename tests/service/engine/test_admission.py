"""Who is let into the queue: by what waits, and by when the answer would be there."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.admission import Admission, Load
from service.engine.brief import Brief
from service.engine.cost import Cost, Costs
from service.engine.engine import Engine
from service.engine.job import Job
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.errors import DeadlinePassed, QueueFull
from tests.service.engine.doubling import Doubling, a_moment, asked, packed, tokens, with_engine


def a_millisecond_per_token() -> Costs:
    cost = Cost()
    for i in range(2000):
        cost.observe(100 * (i % 10 + 1), 0.1 * (i % 10 + 1))
    return Costs(cost, [])


def admission(bound: int = 10**6, requests: int = 100) -> tuple[Scheduler, Admission]:
    queue = Scheduler(1000, 10**9)
    costs = {"m": a_millisecond_per_token(), "n": a_millisecond_per_token()}
    return queue, Admission(Policy(bound, requests), queue, costs, Brief(0, costs))


def test_the_queue_is_bounded_in_tokens_and_says_when_there_will_be_room() -> None:
    queue, door = admission(bound=20_000)
    queue.add(Job("m", [15_000]))
    with pytest.raises(QueueFull, match="limit of 20000") as caught:
        door.check(Job("m", [10_000]), Load(1, 1, 1), 0.0, 0.0)
    assert caught.value.headers["Retry-After"] in ("5", "6")
    door.check(Job("m", [5000]), Load(1, 1, 1), 0.0, 0.0)


def test_a_full_queue_has_room_for_who_has_less_than_a_share_of_it_up_to_twice_its_limit() -> None:
    queue, door = admission(bound=1000, requests=4)
    queue.add(Job("m", [1000], client="greedy"))
    door.check(Job("m", [400], client="modest"), Load(1, 0, 2), 0.0, 0.0)
    with pytest.raises(QueueFull):
        door.check(Job("m", [600], client="modest"), Load(1, 0, 2), 0.0, 0.0)
    with pytest.raises(QueueFull):
        door.check(Job("m", [1], client="greedy"), Load(1, 1, 2), 0.0, 0.0)
    queue.add(Job("m", [1000], client="other"))
    with pytest.raises(QueueFull):
        door.check(Job("m", [1], client="third"), Load(2, 0, 3), 0.0, 0.0)
    small = Job("n", [1], client="modest")
    _, door = admission(requests=4)
    door.check(small, Load(4, 0, 2), 0.0, 0.0)
    with pytest.raises(QueueFull, match="8 requests"):
        door.check(small, Load(8, 0, 2), 0.0, 0.0)


def test_long_sequences_on_their_way_are_of_their_client_s_share() -> None:
    queue = Scheduler(100, long_tokens=100)
    queue.add(Job("m", [5000], client="greedy"))
    assert queue.next_step() is not None
    assert (queue.waiting_of("greedy"), queue.waiting_of("modest")) == (5000, 0)


def test_an_empty_queue_takes_a_job_larger_than_its_bound() -> None:
    _, door = admission(bound=20)
    door.check(Job("m", [25]), Load(0, 0, 1), 0.0, 0.0)


def test_empty_sequences_fill_the_queue_too() -> None:
    queue, door = admission(bound=20)
    queue.add(Job("m", [0] * 18))
    with pytest.raises(QueueFull):
        door.check(Job("m", [0] * 3), Load(1, 1, 1), 0.0, 0.0)


def test_the_queue_is_bounded_in_requests() -> None:
    queue, door = admission(requests=3)
    queue.add(Job("m", [5]))
    door.check(Job("m", [5]), Load(2, 2, 1), 0.0, 0.0)
    with pytest.raises(QueueFull, match="3 requests"):
        door.check(Job("m", [5]), Load(3, 3, 1), 0.0, 0.0)


def test_who_would_be_late_is_told_at_once_and_when_to_come_again() -> None:
    queue, door = admission()
    queue.add(Job("m", [10_000]))
    with pytest.raises(QueueFull, match="seconds are expected") as caught:
        door.check(Job("m", [12_000], deadline=107.0), Load(1, 1, 1), 100.0, 0.5)
    assert 15 <= int(caught.value.headers["Retry-After"]) <= 17  # 10 + 12 + 0.5 - 7
    door.check(Job("m", [12_000], deadline=124.0), Load(1, 1, 1), 100.0, 0.5)
    door.check(Job("m", [12_000]), Load(1, 1, 1), 100.0, 0.5)


def test_a_small_job_is_not_refused_for_large_ones_that_it_overtakes() -> None:
    queue, door = admission()
    queue.add(Job("m", [100] * 200))
    door.check(Job("m", [100], deadline=1.0), Load(1, 1, 1), 0.0, 0.0)
    queue.add(Job("m", [100] * 200, client="other"))
    door.check(Job("m", [100], client="third", deadline=1.0), Load(1, 1, 1), 0.0, 0.0)


def test_nobody_is_refused_while_nothing_waits() -> None:
    _, door = admission()
    door.check(Job("m", [50_000], deadline=1.0), Load(0, 0, 1), 0.0, 0.0)


def test_what_another_model_and_a_higher_priority_have_waiting_counts() -> None:
    queue, door = admission()
    queue.add(Job("n", [5000], priority=1))
    with pytest.raises(QueueFull):
        door.check(Job("m", [1000], priority=2, deadline=5.0), Load(1, 1, 1), 0.0, 0.0)
    door.check(Job("m", [1000], priority=1, deadline=5.0), Load(1, 1, 1), 0.0, 0.0)


JOBS = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xyz"), st.lists(st.integers(0, 90), min_size=1)
    ),
    max_size=12,
)


@given(JOBS, JOBS.filter(bool))
def test_what_is_ahead_is_never_less_than_what_comes_first(
    jobs: list[tuple[str, str, list[int]]], last: list[tuple[str, str, list[int]]]
) -> None:
    """As long as nobody else comes: up to a step of each model and client, which fill them up."""
    queue = Scheduler(100, 10**9)
    for model, name, lengths in jobs:
        queue.add(Job(model, lengths, client=name))
    model, name, lengths = last[0]
    job = Job(model, lengths, client=name)
    expected = sum(queue.ahead(job).values()) + job.cost
    queue.add(job)
    ran = 0
    while job.next < len(job.lengths):
        step = queue.next_step()
        assert step is not None
        ran += step.tokens
    assert ran <= 2 * expected + 5 * 100


def test_what_has_passed_its_deadline_is_never_computed() -> None:
    queue = Scheduler(100, 10**9)
    late, other = Job("m", [10], deadline=5.0), Job("m", [20])
    queue.add(late)
    queue.add(other)
    assert sum(queue.waiting.values()) == 30
    step = queue.next_step(now=5.0)
    assert step is not None
    assert [part.job for part in step.parts] == [other]
    assert not sum(queue.waiting.values())
    queue.remove(late)
    assert queue.next_step(now=6.0) is None
    assert not queue.waiting


def test_a_long_sequence_past_its_deadline_goes_no_further() -> None:
    queue = Scheduler(100, long_tokens=50)
    queue.add(Job("m", [1000], deadline=5.0))
    assert queue.next_step(now=1.0) is not None
    assert queue.next_step(now=6.0) is None


def test_a_request_in_the_queue_gets_its_504_in_time() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        blocking = asked(engine, *[packed(tokens(*range(10)))] * 2)
        await a_moment()
        with pytest.raises(DeadlinePassed, match=r"within 0\.05 seconds"):
            await engine.predict("double", packed(tokens(1)), timeout=0.05)
        session.gate.set()
        await asyncio.gather(*blocking)
        assert [1] not in session.packs

    with_engine(test)


def test_requests_that_name_no_time_have_the_servers() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        with pytest.raises(DeadlinePassed):
            await engine.predict("double", packed(tokens(1)))

    with_engine(test, timeout=0.05)


def test_a_full_queue_refuses_and_then_takes_again() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        waiting = asked(engine, *[packed(tokens(*range(10)))] * 3)
        await a_moment()
        assert engine.requests == 3
        assert engine.queued_seconds() > 0
        with pytest.raises(QueueFull):
            await engine.predict("double", packed(tokens(1)))
        session.gate.set()
        await asyncio.gather(*waiting)
        await engine.predict("double", packed(tokens(1)))

    with_engine(test, queue_requests=3)


def test_nothing_expected_is_no_number() -> None:
    _, door = admission()
    assert math.isfinite(door.seconds({"m": 10**9}))


def overtaken(door: Scheduler, steps: int) -> None:
    """A long sequence is on its way, and short ones fill all of the steps that they may."""
    door.add(Job("m", [100_000]))
    door.next_step(brief=lambda _: 1000)
    for _ in range(steps):
        door.add(Job("m", [100] * 8))
        door.next_step(brief=lambda _: 1000)


def test_a_long_sequence_is_let_in_by_what_such_ones_get_of_the_steps() -> None:
    queue = Scheduler(1000, 1000)
    job = Job("m", [3000])
    alone = queue.ahead(job)["m"]
    overtaken(queue, 100)
    left = queue.waiting["m"]
    assert alone == 0
    assert queue.ahead(job)["m"] > 2 * left


def test_a_short_one_does_not_wait_for_that() -> None:
    queue = Scheduler(1000, 1000)
    overtaken(queue, 100)
    assert queue.ahead(Job("m", [500]))["m"] < queue.ahead(Job("m", [3000]))["m"] / 4
