"""Steps wait for whoever is there, and for a crowd at the door, but not for ever."""

from __future__ import annotations

import asyncio

from service.engine.turns import MOST, Turns


async def turns_until(called: list[int], turns: Turns, crowd: int) -> int:
    """In which turn of the loop it is called, while somebody connects in each of the first."""
    turns.soon()
    turns.soon()
    for turn in range(10 * MOST):
        if called:
            return turn
        if turn < crowd:
            turns.connected()
        await asyncio.sleep(0)
    raise AssertionError("it is never called")


def called_in(crowd: int) -> int:
    async def run() -> int:
        called: list[int] = []
        found = await turns_until(called, Turns(lambda: called.append(1)), crowd)
        await asyncio.sleep(0)
        assert called == [1], "once, however often it was asked for"
        return found

    return asyncio.run(run())


def test_without_a_crowd_the_next_turn_is_for_the_step() -> None:
    assert called_in(0) == 1


def test_while_somebody_comes_in_each_turn_is_for_the_others() -> None:
    assert called_in(10) == 11


def test_a_crowd_without_end_does_not_put_it_off_without_end() -> None:
    assert called_in(10 * MOST) == MOST + 1
