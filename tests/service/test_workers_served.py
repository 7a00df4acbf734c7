"""Two workers behind one port, as their clients meet them: real processes, real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.test_load import assert_equal, load, post_one, valid

STATS, METRICS, READY = "/v2/models/stats", "/metrics", "/v2/health/ready"


@pytest.fixture(scope="module")
def two() -> Iterator[ServerProcess]:
    with ServerProcess(SHIPPED, workers=2, grace_seconds=0) as process:
        yield process


def predicted(process: ServerProcess) -> Counter[int]:
    """How many predictions each worker has logged."""
    lines = process.log_lines()
    return Counter(line["worker"] for line in lines if line.get("model"))


def samples(page: str, name: str) -> dict[str, float]:
    """Of the model `digit_sum`, or of none: worker -> value."""
    return {
        one.labels["worker"]: one.value
        for family in parsed(page)
        for one in family.samples
        if one.name == name and one.labels.get("model", "digit_sum") == "digit_sum"
        if one.labels.get("code", "200") == "200"
    }


def test_two_workers_give_the_bits_of_one_and_both_are_asked(two: ServerProcess) -> None:
    rng, before = np.random.default_rng(1), predicted(two)
    requests = [valid(i, rng) for i in range(300)]
    answers = asyncio.run(load(two.url, requests))
    for request, answer in zip(requests, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert request.wanted is not None
        assert_equal(answer.json()["outputs"], request.wanted)
    by_worker = predicted(two) - before
    assert by_worker.total() == 300
    assert sorted(by_worker) == [0, 1]


def test_whoever_is_asked_tells_the_counts_of_both(two: ServerProcess) -> None:
    def counts() -> set[tuple[float, int]]:
        """Asked over many connections, which end at both."""
        found = set()
        for _ in range(12):
            page = httpx.get(two.url + METRICS).text
            (own,) = httpx.get(f"{two.url}/v2/models/digit_sum/stats").json()["model_stats"]
            every = httpx.get(two.url + STATS).json()["model_stats"]
            assert own in every
            requests = samples(page, "sumserve_request_seconds_count")
            assert sorted(requests) == ["0", "1"]
            assert own["inference_stats"]["success"]["count"] == sum(requests.values())
            found.add((sum(requests.values()), own["inference_count"]))
        return found

    (before,) = counts()
    for _ in range(50):
        assert post_one(two.url).status_code == 200  # each on a connection of its own
    assert counts() == {(before[0] + 50, before[1] + 50)}
    asked = Counter(line["worker"] for line in two.log_lines() if line.get("path") == METRICS)
    assert min(asked[0], asked[1]) > 0


def test_every_line_of_a_worker_s_log_says_which_it_is(two: ServerProcess) -> None:
    post_one(two.url)
    by_logger: dict[str, set[int | None]] = {}
    for line in two.log_lines():
        by_logger.setdefault(line["logger"], set()).add(line.get("worker"))
    assert by_logger.pop("sumserve.supervisor") == {None}
    assert {"sumserve.repository", "sumserve.access", "uvicorn.error"} <= set(by_logger)
    assert all(found <= {0, 1} for found in by_logger.values())


def test_a_lone_worker_has_no_supervisor(server: ServerProcess) -> None:
    pid = server.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        assert children.read().split() == []
    assert not [line for line in server.log_lines() if "worker" in line]


@pytest.mark.parametrize("path", ["/v2/health/live", READY])
def test_a_head_has_no_body(two: ServerProcess, path: str) -> None:
    with httpx.Client(base_url=two.url) as client:
        for _ in range(3):  # on one connection: a body would be taken for the next answer
            found = client.head(path)
            assert (found.status_code, found.content) == (200, b"")
            assert client.get(path).status_code == 200
