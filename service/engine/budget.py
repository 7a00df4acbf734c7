"""How many tokens a step may hold: fewer after the device ran out of memory, in time more again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

LEAST = 256  # tokens of a step: with fewer most of its time would be lost
STEPS = 500  # that must do well before more is tried

log = logging.getLogger("sumserve.engine")


@dataclass(slots=True)
class Budget:
    """most: what is allowed; tokens: what is tried."""

    most: int
    tokens: int = field(init=False)
    _well: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.tokens = self.most

    def learn(self, exhausted: bool) -> None:
        """A step was run: was it too large?"""
        self._well = 0 if exhausted else self._well + 1
        if exhausted:
            self.tokens = min(self.tokens, max(LEAST, self.tokens // 2))
            log.warning("out of memory: steps are of %d tokens from now on", self.tokens)
        elif self._well >= STEPS:
            self.tokens, self._well = min(self.most, self.tokens * 2), 0
