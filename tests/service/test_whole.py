"""Three workers' applications on one loop, which ask each other over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from service.application import Service
from service.errors import NotServing
from service.siblings import Siblings, meeting_place
from service.statistics import Timing
from service.whole import Whole
from tests.service.fakes import MANIFESTS, service

COUNT = 3
TIMING = Timing(queue=0.001, decode=0.002, compute=0.003, encode=0.004)


class Worker:
    """What a process has: a service, and the others."""

    def __init__(self, siblings: Siblings) -> None:
        self.siblings, self.service = siblings, service()
        self.whole = Whole(self.service, siblings)
        self.service.readiness.started = True


def together(test: Callable[[list[Worker]], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with meeting_place() as folder:
            workers = [Worker(Siblings(folder, index, COUNT)) for index in range(COUNT)]
            for worker in workers:
                await worker.siblings.start()
            try:
                return await test(workers)
            finally:
                for worker in workers:
                    await worker.siblings.stop()

    return asyncio.run(run())


def test_any_worker_tells_the_metrics_of_all() -> None:
    async def test(workers: list[Worker]) -> list[str]:
        for worker in workers:
            for _ in range(worker.siblings.index + 5):
                worker.service.metrics.request("ids", "3", 200)
        return [await worker.whole.page() for worker in workers]

    for page in together(test):
        counts = {
            one.labels["worker"]: one.value
            for family in parsed(page)
            for one in family.samples
            if one.name == "sumserve_requests_total" and one.labels["model"] == "ids"
        }
        assert counts == {"0": 5, "1": 6, "2": 7}


def test_metrics_leave_out_who_does_not_answer_and_say_so() -> None:
    async def test(workers: list[Worker]) -> str:
        await workers[2].siblings.stop()
        return await workers[0].whole.page()

    samples = [one for family in parsed(together(test)) for one in family.samples]
    up = {one.labels["worker"]: one.value for one in samples if one.name == "sumserve_worker_up"}
    assert up == {"0": 1, "1": 1, "2": 0}
    ready = {one.labels["worker"] for one in samples if one.name == "sumserve_ready"}
    assert ready == {"0", "1"}


def test_a_lone_worker_s_page_has_no_such_label() -> None:
    alone: Service = service()
    page = asyncio.run(Whole(alone, Siblings()).page())
    assert names(page) == names(alone.metrics.page().decode())
    assert "worker" not in page


def names(page: str) -> list[str]:
    """Of samples, with their labels; values change by themselves, such as memory."""
    return [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]


def test_statistics_are_sums_over_all_workers() -> None:
    async def test(workers: list[Worker]) -> list[Any]:
        for worker in workers:
            worker.service.statistics.succeeded("ids/3", worker.siblings.index + 1, TIMING)
        return [await worker.whole.statistics(MANIFESTS.values()) for worker in workers]

    for found in together(test):
        assert [one["name"] for one in found] == [*MANIFESTS]
        counts = {one["name"]: one["inference_count"] for one in found}
        assert counts == {"vectors": 0, "ids": 6, "labelled": 0}
        (ids,) = (one for one in found if one["name"] == "ids")
        assert ids["inference_stats"]["success"] == {"count": 3, "ns": 30_000_000}


def test_a_model_that_is_unloaded_meanwhile_is_left_out_of_the_sums() -> None:
    async def test(workers: list[Worker]) -> list[Any]:
        catalog = workers[0].service.catalog
        found = (served.manifest for served in catalog)  # which is gone through while others answer
        asking = asyncio.create_task(workers[0].whole.statistics(found))
        await asyncio.sleep(0)
        for worker in workers:
            worker.service.catalog.remove(worker.service.catalog.find("ids"))
        return await asking

    assert {own["name"] for own in together(test)} == MANIFESTS.keys() - {"ids"}


def test_there_is_no_sum_without_a_worker() -> None:
    async def test(workers: list[Worker]) -> None:
        await workers[1].siblings.stop()
        with pytest.raises(NotServing, match="worker 1 does not answer"):
            await workers[0].whole.statistics(MANIFESTS.values())

    assert together(test) is None


def test_the_server_is_ready_when_every_worker_is() -> None:
    async def test(workers: list[Worker]) -> None:
        assert [await worker.whole.reason() for worker in workers] == [""] * COUNT
        workers[1].service.readiness.failing["ids"] = "golden inputs fail"
        wanted = "not ready: worker 1: ids: golden inputs fail"
        assert [await worker.whole.reason() for worker in workers] == [wanted] * COUNT

        async def never() -> None:
            await asyncio.Event().wait()

        workers[2].siblings.answer("readiness", never)
        assert await workers[0].whole.reason() == f"{wanted}; worker 2 does not answer"
        await workers[2].siblings.stop()
        assert await workers[0].whole.reason() == wanted, "nobody is sent to who is not there"
        workers[2].service.readiness.started = False
        workers[2].siblings.answer("readiness", workers[2].whole._reason)
        await workers[2].siblings.start()
        assert await workers[0].whole.reason() == wanted, "nor to who does not listen yet"
        await workers[2].siblings.stop()
        latest = Whole(workers[0].service, workers[0].siblings)
        assert await latest.reason() == f"{wanted}; worker 2 is starting"

    assert together(test) is None


def test_a_worker_that_is_not_ready_itself_asks_nobody() -> None:
    async def test(workers: list[Worker]) -> None:
        for worker in workers:
            worker.service.readiness.draining = True
        wanted = "not ready: worker 0: the server is draining"
        assert await workers[0].whole.reason() == wanted

    assert together(test) is None


def test_a_lone_worker_is_ready_by_itself() -> None:
    alone = service()
    whole = Whole(alone, Siblings())
    assert asyncio.run(whole.reason()) == "the server is starting"
    alone.readiness.started = True
    assert asyncio.run(whole.reason()) == ""
