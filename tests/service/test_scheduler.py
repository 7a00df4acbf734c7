from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import QueueFull
from service.scheduler import Job, Scheduler, Step

JOBS = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 50), min_size=1, max_size=8)),
    max_size=12,
)


def scheduler(budget: int = 10, bound: int = 1000) -> Scheduler:
    return Scheduler(budget, bound)


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
    for lengths in ([4], [3, 3], [5]):
        queue.add(Job("m", lengths))
    assert sizes(queue.next_step()) == [[4], [3, 3]]
    assert sizes(queue.next_step()) == [[5]]
    assert queue.next_step() is None


def test_a_sequence_over_the_budget_gets_a_step_of_its_own() -> None:
    queue = scheduler(10)
    queue.add(Job("m", [50]))
    queue.add(Job("m", [1]))
    assert sizes(queue.next_step()) == [[50]]
    assert sizes(queue.next_step()) == [[1]]


def test_a_long_job_shares_every_step_with_those_behind_it() -> None:
    queue = scheduler(10)
    queue.add(Job("m", [6] * 5))
    queue.add(Job("m", [3]))
    assert sizes(queue.next_step()) == [[6], [3]]


def test_a_job_without_sequences_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="at least one"):
        Job("m", [])


def test_models_take_turns() -> None:
    queue = scheduler(10)
    queue.add(Job("a", [8, 8, 8]))
    queue.add(Job("b", [8]))
    assert [step.model for step in drain(queue)] == ["a", "b", "a", "a"]


def test_the_queue_is_bounded_in_tokens() -> None:
    queue = scheduler(10, bound=20)
    queue.add(Job("a", [15]))
    with pytest.raises(QueueFull, match="limit of 20"):
        queue.add(Job("b", [6]))
    queue.add(Job("b", [5]))
    assert queue.waiting_tokens == 20


def test_an_empty_queue_takes_a_job_larger_than_its_bound() -> None:
    queue = scheduler(10, bound=20)
    queue.add(Job("a", [25]))
    assert sizes(queue.next_step()) == [[25]]


def test_empty_sequences_fill_the_queue_too() -> None:
    queue = scheduler(10, bound=20)
    queue.add(Job("a", [0] * 18))
    with pytest.raises(QueueFull):
        queue.add(Job("a", [0] * 3))


def test_a_removed_job_is_forgotten_with_its_tokens() -> None:
    queue = scheduler(10)
    gone, stays = Job("m", [9, 9]), Job("m", [1])
    queue.add(gone)
    queue.add(stays)
    queue.next_step()
    queue.remove(gone)
    queue.remove(gone)
    assert queue.waiting_tokens == 0
    assert queue.next_step() is None


@given(JOBS, st.integers(1, 60))
def test_every_sequence_runs_once_in_order_within_the_budget(
    jobs: list[tuple[str, list[int]]], budget: int
) -> None:
    queue = Scheduler(budget, 10**9)
    added = [Job(model, lengths) for model, lengths in jobs]
    for job in added:
        queue.add(job)
    seen: dict[int, list[int]] = {id(job): [] for job in added}
    for step in drain(queue):
        tokens = [max(1, n) for part in sizes(step) for n in part]
        assert sum(tokens) <= budget or len(tokens) == 1
        for part in step.parts:
            assert part.job.model == step.model
            seen[id(part.job)] += range(part.first, part.last)
    assert all(seen[id(job)] == list(range(len(job.lengths))) for job in added)
    assert queue.waiting_tokens == 0
