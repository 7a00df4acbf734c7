from __future__ import annotations

from service.engine.job import Job, Part, Step
from service.engine.runner import Outcome
from service.statistics import Statistics, Timing, summed

TIMING = Timing(queue=0.001, decode=0.002, compute=0.003, encode=0.004)


def test_requests_and_steps_are_counted_with_their_times() -> None:
    found = Statistics(clock=lambda: 12.5)
    found.succeeded("m/7", 3, TIMING)
    found.succeeded("m/7", 1, TIMING)
    found.failed("m/7", 0.5)
    for sequences in 3, 4, 1:
        job = Job("m", [7] * sequences)
        step = Step("m/7", (Part(job, 0, sequences),))
        found.ran(step, Outcome(started=0.0, seconds=0.003))
    said = found.of("m", "7")
    assert (said["name"], said["version"], said["last_inference"]) == ("m", "7", 12_500)
    assert (said["inference_count"], said["execution_count"]) == (4, 3)
    parts = said["inference_stats"]
    assert parts["success"] == {"count": 2, "ns": 20_000_000}
    assert parts["fail"] == {"count": 1, "ns": 500_000_000}
    assert parts["queue"]["ns"] == 2_000_000
    assert parts["compute_input"]["ns"] == 4_000_000
    assert parts["compute_infer"]["ns"] == 6_000_000
    assert parts["compute_output"]["ns"] == 8_000_000
    batches = {one["batch_size"]: one["compute_infer"] for one in said["batch_stats"]}
    assert batches == {1: {"count": 1, "ns": 3_000_000}, 4: {"count": 2, "ns": 6_000_000}}


def test_a_model_that_nobody_asked_has_nothing_but_zeros() -> None:
    said = Statistics().of("m", "1")
    assert said["inference_count"] == said["execution_count"] == said["last_inference"] == 0
    assert said["batch_stats"] == []


def test_several_workers_add_up_to_one_that_did_it_all() -> None:
    times = iter([12.5, 99.0, 98.0])
    one, other, third = (Statistics(clock=lambda: next(times)) for _ in range(3))
    whole = Statistics(clock=lambda: 99.0)
    for counted, sequences in (one, 3), (other, 1), (third, 9):
        for who in counted, whole:
            who.succeeded("m/7", sequences, TIMING)
            who.failed("m/7", sequences / 8)
            step = Step("m/7", (Part(Job("m", [7] * sequences), 0, sequences),))
            who.ran(step, Outcome(started=0.0, seconds=sequences / 1000))
    found = summed([worker.of("m", "7") for worker in (one, other, third)])
    assert found == whole.of("m", "7")
    assert found["last_inference"] == 99_000
    assert [batch["batch_size"] for batch in found["batch_stats"]] == [1, 4, 16]


def test_one_worker_s_statistics_are_the_whole() -> None:
    alone = Statistics(clock=lambda: 1.0)
    alone.succeeded("m/7", 3, TIMING)
    assert summed([alone.of("m", "7")]) == alone.of("m", "7")
