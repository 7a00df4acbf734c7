"""What passes between two steps that follow upon one another counts for the next ones' time."""

from __future__ import annotations

import pytest

from service.engine.pace import MOST, Pace


def after(between: float, steps: int = 1000, more: bool = True) -> float:
    """The slowness of steps of a second each with so much between them."""
    pace, now = Pace(), 0.0
    for _ in range(steps):
        pace.ran(now, 1.0, more)
        now += 1.0 + between
    return pace.slowness


def test_steps_one_right_behind_the_other_take_their_own_time() -> None:
    assert after(between=0.0) == pytest.approx(1.0)


def test_what_passes_between_them_is_learned() -> None:
    assert after(between=0.5) == pytest.approx(1.5, rel=0.01)


def test_time_in_which_nothing_waited_is_no_slowness() -> None:
    assert after(between=100.0, more=False) == 1.0


def test_one_long_pause_does_not_close_the_door() -> None:
    assert after(between=1e6, steps=2) <= 1 + MOST / 32
