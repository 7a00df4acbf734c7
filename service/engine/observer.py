"""What the engine tells whoever counts."""

from __future__ import annotations

from service.engine.job import Step
from service.engine.runner import Outcome


class Observer:
    """Whoever counts something overrides what it counts."""

    def ran(self, step: Step, outcome: Outcome) -> None:
        """A step was run."""

    def abandoned(self, model: str, tokens: int) -> None:
        """So many tokens of a request will not be computed: nobody awaits them any more."""

    def busy(self, now: bool) -> None:
        """There is something to do now, or nothing any more."""
