"""What open streams hold is counted with the bodies in flight, and the sum is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from service.body import Bodies
from service.errors import QueueFull
from service.streams import memory
from service.streams.memory import RESERVED_BYTES, Memory
from service.streams.streamed import Streams
from service.wires.exchange import ARROW
from service.wires.streaming import reader
from tests.service.fakes import LIMITS, MANIFESTS
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.holding import SMALL, TOKENS, Gate, endless, going
from tests.service.streams.talk import Talk, described, settled, to_its_end, until
from tests.service.test_body import LIMITS as OF_BODIES

PART = b"1," * 500  # of a line that does not end


def half_a_line() -> Iterator[bytes]:
    yield b"[["
    yield from endless(PART)


def room_for(count: int) -> dict[str, int]:
    return {"max_in_flight_bytes": count * RESERVED_BYTES}


def test_streams_that_do_not_fit_together_are_refused_at_once(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=0.2, **room_for(2))
        streams = Streams(service)
        gate = Gate(service, monkeypatch)
        async with AsyncExitStack() as stack:
            for _ in range(2):
                talk = Talk(endless(b"[[1, 2]]\n"))
                await stack.enter_async_context(going(streams, talk, "pooled"))
                await settled(lambda: service.bodies.in_flight)
            third = Talk(endless(b"[[1, 2]]\n"))
            await third.held(streams, "pooled")
            assert third.status == 429
            assert f"hold {2 * RESERVED_BYTES} bytes" in third.lines[0]["error"]
            assert third.headers["retry-after"] == "1"
        gate.open()
        assert service.bodies.in_flight == 0
        await (again := Talk([b"[[1, 2]]\n"])).held(streams, "pooled")
        assert again.status == 200

    to_its_end(all_of_it())


def test_predictions_and_streams_share_the_memory(serving: Serving) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=0.2, **room_for(2))
        streams = Streams(service)
        async with going(streams, Talk(half_a_line()), "pooled"):
            await until(lambda: service.bodies.in_flight >= RESERVED_BYTES)
            with service.bodies.holding() as held, pytest.raises(QueueFull):
                held.take(2 * RESERVED_BYTES)

    to_its_end(all_of_it())


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of it is set aside, and more is a large line."""
    monkeypatch.setattr(memory, "RESERVED_BYTES", 2000)
    monkeypatch.setattr(memory, "SMALL_BYTES", 500)


@pytest.mark.usefixtures("little")
def test_a_large_line_is_counted_as_it_comes_and_waits_where_others_need_the_room(
    serving: Serving,
) -> None:
    async def all_of_it() -> None:
        service = serving(max_in_flight_bytes=20_000)
        streams, bodies = Streams(service), service.bodies
        first, second = Talk([b"[[", PART, b""], stays=True), Talk(half_a_line())
        async with AsyncExitStack() as stack:
            other = stack.enter_context(bodies.holding())
            other.take(4000)
            await stack.enter_async_context(going(streams, first, "pooled"))
            await until(lambda: bool(streams.large))
            async with going(streams, second, "pooled"):
                reads = await settled(lambda: second.reads)
                assert bodies.in_flight == 6000 + 2 + 1000 * (reads - 2), "one is not taken in"
                assert 10_000 < bodies.in_flight <= 11_002
                other.hold(2000)
                assert await settled(lambda: second.reads) == reads + 2
                other.hold(0)
                assert await settled(lambda: second.reads) == reads + 4

    to_its_end(all_of_it())


@pytest.mark.usefixtures("little")
def test_large_lines_do_not_wait_for_each_other_without_end(serving: Serving) -> None:
    async def all_of_it() -> None:
        service = serving(max_in_flight_bytes=20_000)
        streams, line = Streams(service), b"[" + b"[1, 2]," * 1000 + b"[1, 2]]\n"
        parts = [line[i : i + 500] for i in range(0, len(line), 500)] * 3
        talks = [Talk(parts) for _ in range(8)]
        await asyncio.gather(*(talk.held(streams, "pooled") for talk in talks))
        assert [talk.status for talk in talks] == [200] * 8
        assert (service.bodies.in_flight, streams.large) == (0, [])

    to_its_end(all_of_it(), seconds=30)  # less than they would wait


def test_a_small_stream_goes_on_whatever_others_hold(serving: Serving) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=5, **room_for(2))
        streams = Streams(service)
        with service.bodies.holding() as other:
            streams.large.append(Memory(other, [], 0))  # and never ends
            talk = Talk(lines(draw(described(service, "plain"), TOKENS), [100]))
            await talk.held(streams, "plain")
            assert (talk.status, talk.ended) == (200, True)
            assert service.bodies.in_flight == RESERVED_BYTES

    to_its_end(all_of_it())


@pytest.mark.usefixtures("little")
def test_who_finds_no_room_for_long_is_refused(serving: Serving) -> None:
    async def all_of_it() -> None:
        service = serving(max_in_flight_bytes=20_000, body_seconds=0.5)
        streams = Streams(service)
        with service.bodies.holding() as other:
            other.take(9000)
            streams.large.append(Memory(other, [], 0))  # who comes first
            await (talk := Talk(half_a_line())).held(streams, "pooled")
            assert talk.status == 429
            assert "found no room for more within 0.5 seconds" in talk.lines[0]["error"]
            assert service.bodies.in_flight == 9000 + 2000

    to_its_end(all_of_it())


@pytest.mark.parametrize("name", ["pooled", "plain"])
def test_tokens_that_wait_are_counted(
    serving: Serving, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        pack = draw(described(service, name), TOKENS)
        async with going(streams, Talk(lines(pack, [TOKENS])), name) as task:
            await settled(lambda: service.bodies.in_flight)
            waiting, piece = pack.columns["x"].nbytes, 256 * pack.columns["x"][0].nbytes
            assert waiting < service.bodies.in_flight <= waiting + 2 * piece
            gate.open()
            await task
            assert service.bodies.in_flight == 0

    monkeypatch.setattr(memory, "RESERVED_BYTES", 1)
    to_its_end(all_of_it())


def test_what_is_written_and_not_read_is_counted(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving()
        streams = Streams(service)
        talk = Talk(lines(draw(described(service, "plain"), 256), [256]))
        talk.reading.clear()
        async with going(streams, talk, "plain") as task:
            held = await settled(lambda: service.bodies.in_flight)
            talk.reading.set()
            await task
            piece = bytes(talk.sent).splitlines(keepends=True)[0]
            assert held >= len(piece)
            assert service.bodies.in_flight == 0

    monkeypatch.setattr(memory, "RESERVED_BYTES", 1)
    to_its_end(all_of_it())


def test_what_is_set_aside_is_never_less() -> None:
    bodies = Bodies(OF_BODIES)
    with bodies.holding() as held:
        own = Memory(held, [], 1)
        own.holds(1)
        assert bodies.in_flight == RESERVED_BYTES
        own.holds(RESERVED_BYTES + 7)
        assert bodies.in_flight == RESERVED_BYTES + 7
    assert bodies.in_flight == 0


def test_whoever_waits_is_woken_by_what_is_given_back() -> None:
    async def all_of_it() -> None:
        bodies = Bodies(OF_BODIES)
        with bodies.holding() as held:
            held.take(5)
            waiting = [asyncio.create_task(bodies.freed()) for _ in range(2)]
            await asyncio.sleep(0)
            held.take(1)
            await settled(lambda: sum(task.done() for task in waiting))
            assert not any(task.done() for task in waiting)
            held.hold(3)
            await asyncio.gather(*waiting)
            assert bodies.in_flight == 3

    to_its_end(all_of_it())


def test_readers_say_what_they_hold() -> None:
    json = reader({}, MANIFESTS["vectors"], LIMITS, 1000)
    json.cut(b"[[1, 2]]\n[[3,", last=False)
    assert json.held == 13, "lines that are whole and too few to be read are there too"
    json.cut(b"4]]\n", last=True)
    assert json.held == 0
    arrow = reader({"content-type": ARROW}, MANIFESTS["vectors"], LIMITS, 1000)
    arrow.cut(b"\xff\xff\xff\xff\x10", last=False)
    assert arrow.held == 5
