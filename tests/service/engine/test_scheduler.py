from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.job import Job, Step
from service.engine.scheduler import Scheduler

JOBS = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 50), min_size=1, max_size=8)),
    max_size=12,
)


def scheduler(budget: int = 10) -> Scheduler:
    return Scheduler(budget, 10**9)


def sizes(step: Step | None) -> list[list[int]]:
    assert step is not None
    return [list(p.job.lengths[p.first : p.last]) for p in step.parts]


def drain(queue: Scheduler) -> list[Step]:
    found = []
    while step := queue.next_step():
        found.append(step)
    return found


def test_a_step_takes_sequences_of_many_jobs_up_to_the_budget() -> None:
    queue = scheduler(10)
    for lengths in ([4], [3, 4], [5]):
        queue.add(Job("m", lengths))
    assert sizes(queue.next_step()) == [[4], [5]]
    assert sizes(queue.next_step()) == [[3, 4]]
    assert queue.next_step() is None


def test_a_sequence_over_the_budget_goes_bit_by_bit() -> None:
    queue = scheduler(10)
    queue.add(Job("m", [50]))
    queue.add(Job("m", [1]))
    assert sizes(queue.next_step()) == [[1]]
    step = queue.next_step()
    assert step is not None
    assert step.chunk is not None


def test_a_small_job_goes_before_a_large_one() -> None:
    queue = scheduler(10)
    queue.add(Job("m", [6] * 5))
    queue.add(Job("m", [3]))
    assert sizes(queue.next_step()) == [[3], [6]]


def test_a_large_job_is_overtaken_by_no_more_than_its_own_size() -> None:
    queue = scheduler(10)
    large = Job("m", [5] * 6)
    queue.add(large)
    overtook = 0
    while not large.next:
        queue.add(Job("m", [10]))
        step = queue.next_step()
        assert step is not None
        overtook += step.tokens
    assert overtook <= 30 + 10


def test_clients_are_given_tokens_evenly() -> None:
    queue = scheduler(10)
    for _ in range(20):
        queue.add(Job("m", [10], client="greedy"))
    for _ in range(4):
        queue.add(Job("m", [10], client="modest"))
    steps = [queue.next_step() for _ in range(8)]
    given = [part.job.client for step in steps if step for part in step.parts]
    assert given.count("modest") == 4


def test_a_client_that_comes_back_has_no_credit() -> None:
    queue = scheduler(10)
    for _ in range(6):
        queue.add(Job("m", [10], client="a"))
        queue.next_step()
    for client in "abab":
        queue.add(Job("m", [10], client=client))
    steps = [queue.next_step() for _ in range(4)]
    assert [part.job.client for step in steps if step for part in step.parts] == list("abab")


def test_a_priority_goes_before_those_behind_it() -> None:
    queue = scheduler(10)
    for priority in (3, 1, 2):
        queue.add(Job("m", [10], priority=priority))
    assert [step.parts[0].job.priority for step in drain(queue)] == [1, 2, 3]


def test_long_sequences_get_what_others_leave_and_a_quarter_at_least() -> None:
    queue = Scheduler(100, long_tokens=50)
    queue.add(Job("m", [1000]))
    alone = queue.next_step()
    assert alone is not None
    assert alone.chunk is not None
    assert alone.chunk.tokens == 100
    for _ in range(20):
        queue.add(Job("m", [10]))
    beside = queue.next_step()
    assert beside is not None
    assert beside.chunk is not None
    assert (beside.tokens, beside.chunk.tokens) == (100, 30)


def test_a_long_sequence_is_counted_once_per_pass() -> None:
    queue = Scheduler(100, long_tokens=50)
    queue.add(Job("m", [250], passes=3))
    chunks = [step.chunk for step in drain(queue)]
    assert [chunk.tokens for chunk in chunks if chunk] == [300, 300, 300]
    assert [chunk.last for chunk in chunks if chunk] == [False, False, True]


def test_of_long_sequences_the_oldest_is_not_forgotten() -> None:
    queue = Scheduler(100, long_tokens=50)
    old = Job("m", [4000])
    queue.add(old)
    first = None
    for i in range(400):
        queue.add(Job("m", [100]))
        step = queue.next_step()
        assert step is not None
        if step.chunk and step.chunk.long.job is old and step.chunk.last:
            first = i
            break
    assert first is not None


def test_a_job_without_sequences_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="at least one"):
        Job("m", [])


def test_models_take_turns() -> None:
    queue = scheduler(10)
    queue.add(Job("a", [8, 8, 8]))
    queue.add(Job("b", [8]))
    assert [step.model for step in drain(queue)] == ["a", "b", "a", "a"]


def test_a_removed_job_is_forgotten_with_its_tokens() -> None:
    queue = scheduler(10)
    gone, stays = Job("m", [9, 9]), Job("m", [1])
    queue.add(gone)
    queue.add(stays)
    queue.next_step()
    queue.remove(gone)
    queue.remove(gone)
    assert not sum(queue.waiting.values())
    assert queue.next_step() is None


@given(JOBS, st.integers(1, 60), st.integers(1, 60), st.integers(1, 4))
def test_every_token_runs_once_within_the_budget(
    jobs: list[tuple[str, list[int]]], budget: int, longest: int, passes: int
) -> None:
    queue = Scheduler(budget, longest)
    most = min(budget, longest)
    added = [Job(model, lengths, client=model[0], passes=passes) for model, lengths in jobs]
    for job in added:
        queue.add(job)
    seen: dict[int, list[int]] = {id(job): [] for job in added}
    advanced: dict[tuple[int, int], int] = {}
    for step in drain(queue):
        chunk = step.chunk
        whole = [n for part in sizes(step) for n in part]
        assert all(n <= most for n in whole)
        used = sum(max(1, n) for n in whole) + (chunk.tokens // passes if chunk else 0)
        assert used <= budget
        for part in step.parts:
            assert part.job.model == step.model
            seen[id(part.job)] += range(part.first, part.last)
        if chunk:
            assert chunk.long.job.model == step.model
            key = id(chunk.long.job), chunk.long.sequence
            assert key not in advanced or advanced[key] < chunk.long.length * passes
            advanced[key] = advanced.get(key, 0) + chunk.tokens
            if chunk.last:
                assert advanced[key] >= chunk.long.length * passes
                seen[key[0]].append(key[1])
    assert all(sorted(seen[id(job)]) == list(range(len(job.lengths))) for job in added)
    assert not sum(queue.waiting.values())


@given(JOBS, st.data())
def test_what_is_removed_at_any_time_is_forgotten(
    jobs: list[tuple[str, list[int]]], data: st.DataObject
) -> None:
    queue = Scheduler(20, 15)
    added = [Job(model, lengths) for model, lengths in jobs]
    for job in added:
        queue.add(job)
    for _ in range(data.draw(st.integers(0, 5))):
        queue.next_step()
    gone = [job for job in added if data.draw(st.booleans())]
    for job in gone:
        queue.remove(job)
    for step in drain(queue):
        assert not any(part.job in gone for part in step.parts)
        assert not (step.chunk and step.chunk.long.job in gone)
    assert not sum(queue.waiting.values())


def test_a_step_is_short_while_a_long_sequence_is_on_its_way() -> None:
    queue = Scheduler(10_000, long_tokens=1000)
    queue.add(Job("m", [50_000]))
    queue.next_step()
    step = queue.next_step(0, lambda _, shared: 400 if shared else 10**6)
    assert step is not None
    assert step.chunk is not None
    assert step.chunk.tokens == 400
    least = queue.next_step(0, lambda *_: 0)
    assert least is not None
    assert least.chunk is not None
    assert least.chunk.tokens == 256
