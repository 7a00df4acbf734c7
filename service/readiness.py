"""Whether this server wants traffic, and whether it is alive at all."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Readiness:
    """Not ready until started, while a model fails, and never again once draining.

    failing: model -> why; stuck: why the device's thread cannot be had back, if so.
    """

    started: bool = False
    draining: bool = False
    failing: dict[str, str] = field(default_factory=dict)
    stuck: str = ""

    @property
    def ready(self) -> bool:
        """True while a balancer should send requests here."""
        return self.started and not (self.draining or self.failing or self.stuck)

    def reason(self) -> str:
        """Why it is not ready."""
        if self.draining:
            return "the server is draining"
        if not self.started:
            return "the server is starting"
        return self.stuck or "; ".join(f"{name}: {why}" for name, why in self.failing.items())
