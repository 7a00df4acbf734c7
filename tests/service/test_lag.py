from __future__ import annotations

import asyncio

from service.lag import Lag


def test_a_loop_that_is_held_up_is_late_by_as_much_and_on_time_again_after() -> None:
    now, found = [10.0], list[float]()

    async def run() -> None:
        over = asyncio.Event()

        def late(seconds: float) -> None:
            found.append(seconds)
            now[0] += 0.001  # what a look is due after, and no more
            if len(found) == 3:
                over.set()

        lag = Lag(late, seconds=0.001, clock=lambda: now[0])
        lag.start()
        now[0] += 0.501  # the first look comes half a second late
        async with asyncio.timeout(10):
            await over.wait()
        lag.stop()

    asyncio.run(run())
    assert [round(seconds, 6) for seconds in found] == [0.5, 0.0, 0.0]


def test_it_looks_no_more_once_it_is_stopped() -> None:
    found = list[float]()

    async def run() -> None:
        lag = Lag(found.append, seconds=0.0)
        lag.stop()
        lag.start()
        lag.stop()
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert not found
