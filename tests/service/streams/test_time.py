"""A client's own time limits the whole stream, and nothing does without one."""

from __future__ import annotations

import asyncio

import pytest

from service.application import Service
from service.streams.streamed import Streams
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.holding import SMALL, Gate, endless, going
from tests.service.streams.talk import Talk, described, run, settled, to_its_end, until

LIMIT = {"x-request-timeout": "5"}


def let_pass(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loop's clock; less than any other deadline here."""
    loop = asyncio.get_running_loop()
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + seconds)


def failures(service: Service, name: str) -> int:
    count: int = service.statistics.of(name, "1")["inference_stats"]["fail"]["count"]
    return count


@pytest.mark.parametrize("whole", [True, False])
def test_past_it_a_stream_without_an_answer_is_a_504(
    serving: Serving, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=0.2, **SMALL)
        Gate(service, monkeypatch)  # closed
        line = b"[[1, 2]]\n"
        talk = Talk([line] if whole else endless(line), LIMIT)
        async with going(streams := Streams(service), talk, "pooled") as task:
            await until(lambda: streams.open == 1)
            await settled(lambda: talk.reads)
            assert talk.status is None
            let_pass(6, monkeypatch)
            await task
            assert talk.status == 504
            assert talk.lines == [{"error": "the stream was not over within 5 seconds"}]
            assert service.engine.requests == 0
            assert failures(service, "pooled") == 1

    to_its_end(all_of_it())


def test_past_it_an_answer_is_cut_short(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        talk = Talk(lines(draw(described(service, "plain"), 1000), [100]), LIMIT)
        talk.reading_body.clear()
        async with going(Streams(service), talk, "plain") as task:
            await until(lambda: talk.status is not None)
            let_pass(6, monkeypatch)
            await settled(lambda: len(talk.sent))
            talk.reading_body.set()
            await task
            assert (talk.status, talk.ended, talk.cut) == (200, False, True)
            assert talk.lines[-1] == {"error": "the stream was not over within 5 seconds"}
            assert talk.log["status"] == 504
            assert failures(service, "plain") == 1

    to_its_end(all_of_it())


def test_without_one_it_may_take_any_time(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=10**6, timeout_seconds=1, **SMALL)
        gate = Gate(service, monkeypatch)
        talk = Talk([b"[[1, 2]]\n"])
        async with going(streams := Streams(service), talk, "pooled") as task:
            await until(lambda: streams.open == 1)
            let_pass(6, monkeypatch)
            await settled(lambda: talk.reads)
            gate.open()
            await task
            assert (talk.status, talk.ended) == (200, True)

    to_its_end(all_of_it())


@pytest.mark.parametrize("said", ["soon", "0", "-1", "inf"])
def test_what_is_no_time_is_a_400(serving: Serving, said: str) -> None:
    talk = Talk(endless(b"[[1, 2]]\n"), {"x-request-timeout": said})
    run(serving(body_seconds=0.2), talk, "pooled")
    assert talk.status == 400
    what = f"X-Request-Timeout: '{said}' is no number of seconds"
    assert talk.lines == [{"error": what}]
