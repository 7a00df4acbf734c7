"""Whether this server wants traffic, and whether it is alive at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

STARTING = "the server is starting"
LAST_STEP_SECONDS = 30  # after the drain: for the steps that run, and for writing answers


@dataclass(slots=True)
class Readiness:
    """Not ready until started, while a model fails, and never again once draining.

    failing: model -> why; stuck: why the device's thread cannot be had back, if so; unable: why it
    cannot start, if that shows late; leaving: set once nothing new is taken.
    """

    started: bool = False
    draining: bool = False
    failing: dict[str, str] = field(default_factory=dict)
    stuck: str = ""
    unable: str = ""
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        """True while a balancer should send requests here."""
        return self.started and not (self.draining or self.failing or self.stuck)

    def reason(self) -> str:
        """Why it is not ready."""
        if self.draining:
            return "the server is draining"
        if not self.started:
            return STARTING
        return self.stuck or "; ".join(f"{name}: {why}" for name, why in self.failing.items())
