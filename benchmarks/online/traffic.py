"""What is asked: the sequences of each mix, their known answers, and how many tokens went by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.mixes import GROUP, GROUPS, mixes
from benchmarks.reference import BUNDLES
from service.bundle import Bundle
from service.graph import Options
from service.pack import Array, Pack
from service.session import Session
from service.settings import Settings

SHORT = "32 tokens"
LOGNORMAL = "lognormal"
WIDTH = 8


@dataclass(frozen=True)
class Traffic:
    """Sequences in the order in which they are sent, again and again."""

    name: str
    sequences: Sequence[Array]

    @cached_property
    def lengths(self) -> Array:
        """Tokens of each."""
        return np.array([len(x) for x in self.sequences])

    def tokens(self, requests: int) -> int:
        """Of the first so many requests."""
        turns, rest = divmod(requests, len(self.lengths))
        return int(turns * self.lengths.sum() + self.lengths[:rest].sum())

    def packs(self, step_tokens: int) -> Iterator[Pack]:
        """In steps of whole sequences, as many tokens in each as the server takes."""
        held: list[Array] = []
        for x in self.sequences:
            if held and sum(map(len, held)) + len(x) > step_tokens:
                yield Pack.of("x", held)
                held = []
            held.append(x)
        yield Pack.of("x", held)


def traffics() -> dict[str, Traffic]:
    """The three mixes, and requests of 32 tokens."""
    lengths = mixes() | {SHORT: np.full((GROUPS, GROUP), 32)}
    rng = np.random.default_rng(1)
    return {
        name: Traffic(name, [rng.normal(size=(n, WIDTH)).astype(np.float32) for n in own.ravel()])
        for name, own in lengths.items()
    }


class Limit:
    """Our own session in this process: the known answers, and how fast it is without a server."""

    def __init__(self) -> None:
        self._session = Session(Bundle.open(BUNDLES / "reference" / "1"), Options())
        self._step = Settings().step_tokens

    def answers(self, traffic: Traffic) -> list[Array]:
        """To every sequence."""
        return [
            rows
            for pack in traffic.packs(self._step)
            for rows in pack.split(self._session.run(pack)["y"])
        ]

    def answer(self, x: Array) -> Array:
        """To one."""
        return self._session.run(Pack.of("x", [x]))["y"]
