"""Whoever is slow holds up the other: nothing piles up in between. And whoever leaves is let go."""

from __future__ import annotations

import pytest

from service.streams import outgoing
from service.streams.belt import AHEAD
from service.streams.streamed import Streams
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.holding import SMALL, TOKENS, Gate, endless, going
from tests.service.streams.talk import Talk, described, settled, to_its_end, until


@pytest.mark.parametrize("name", ["pooled", "plain"])
def test_no_more_is_received_than_is_computed(
    serving: Serving, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        part = b"".join(lines(draw(described(service, name), TOKENS), [TOKENS]))
        talk = Talk(endless(part))
        async with going(streams, talk, name):
            reads = await settled(lambda: talk.reads)
            assert reads == 1, "what was received has 78 pieces"
            gate.open(AHEAD)
            await until(lambda: gate.passed == AHEAD)
            assert await settled(lambda: talk.reads) == 1
            gate.open(200)
            assert await settled(lambda: talk.reads) == 3

    to_its_end(all_of_it())


def test_no_more_is_computed_than_is_read(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open()
        talk = Talk(lines(draw(described(service, "plain"), 10 * TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            talk.reading.clear()
            await until(lambda: streams.space.taken > 0)
            held = await settled(lambda: gate.passed)
            talk.reading.set()
            await task
            assert talk.ended
            assert gate.passed > held

    to_its_end(all_of_it())


def test_a_client_that_does_not_read_is_dropped(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=0.3, **SMALL)
        streams = Streams(service)
        talk = Talk(lines(draw(described(service, "plain"), TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            await until(lambda: talk.status is not None)
            talk.reading.clear()
            await task
            assert talk.cut
            assert not talk.ended
            assert talk.log["status"] == 499
            assert "read nothing of its answer for 0.3 seconds" in talk.log["error"]

    monkeypatch.setattr(outgoing, "WRITTEN_BYTES", 100)
    to_its_end(all_of_it())


@pytest.mark.parametrize(
    ("name", "let_through"), [("pooled", 0), ("pooled", 1), ("plain", 50), ("stack", 100)]
)
def test_a_client_that_leaves_is_let_go_and_nothing_more_is_run(
    serving: Serving, name: str, let_through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open(let_through)
        talk = Talk(lines(draw(described(service, name), TOKENS), [TOKENS]))
        async with going(streams, talk, name) as task:
            await until(lambda: gate.passed == let_through)
            await settled(lambda: talk.reads)
            talk.leave()
            await task
            assert talk.status == 499
            gate.open()
            assert await settled(lambda: gate.passed) == let_through
            assert service.engine.requests == 0
            await until(lambda: streams.space.taken == 0)

    to_its_end(all_of_it())


def test_a_client_that_leaves_in_its_answer_is_let_go(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open()
        talk = Talk(lines(draw(described(service, "plain"), 5 * TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            await until(lambda: talk.status is not None)
            talk.reading.clear()
            held = await settled(lambda: gate.passed)
            talk.leave()
            talk.cut = True
            await task
            assert talk.log["status"] == 499
            assert await settled(lambda: gate.passed) == held
            assert service.statistics.of("plain", "1")["inference_stats"]["fail"]["count"] == 1

    to_its_end(all_of_it())
