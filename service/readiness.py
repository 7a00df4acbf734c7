"""Whether this server wants traffic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Readiness:
    """Not ready until started, and never again once draining."""

    started: bool = False
    draining: bool = False

    @property
    def ready(self) -> bool:
        """True while a balancer should send requests here."""
        return self.started and not self.draining

    def reason(self) -> str:
        """Why it is not ready."""
        return "the server is draining" if self.draining else "the server is starting"
