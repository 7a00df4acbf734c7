"""Streams and the rates of their clients' keys."""

from __future__ import annotations

from service.errors import QueueFull
from service.gate import KEY
from service.streams.streamed import Streams
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.talk import Talk, described, run


class Rate:
    """A key that notes what is used of it; in_debt: takes no more."""

    name = "team"

    def __init__(self, in_debt: bool = False) -> None:
        self.in_debt, self.used = in_debt, 0

    def take(self, tokens: int, now: float) -> None:
        if self.in_debt:
            raise QueueFull("key 'team' has used up its rate")

    def use(self, tokens: int, now: float) -> float:
        self.used += tokens
        return 0.001


def test_every_token_of_a_stream_counts_towards_the_rate(serving: Serving) -> None:
    service, key = serving(), Rate()
    talk = Talk(lines(draw(described(service, "plain"), 1000), [100]))
    talk.scope[KEY] = key
    assert run(service, talk, "plain").status == 200
    assert key.used == 1000


def test_who_owes_something_begins_no_other_stream(serving: Serving) -> None:
    service = serving()
    talk = Talk(lines(draw(described(service, "plain"), 100), [100]))
    talk.scope[KEY] = Rate(in_debt=True)
    assert run(service, talk, "plain").status == 429
    assert Streams(service).open == 0
