"""What the engine needs of sessions: to set packs on their way, and to stop them."""

from __future__ import annotations

import math
from typing import Protocol

from service.engine.cost import Spent
from service.engine.request import Outputs
from service.manifest import Manifest
from service.pack import Pack


class Runs(Protocol):
    """A session, as far as it is needed to run packs whole."""

    manifest: Manifest

    def run(self, pack: Pack) -> Outputs:
        """Outputs of a pack, by name."""


class Started(Protocol):
    """A pack on its way through the stages."""

    done: bool

    def advance(self, tokens: float = math.inf) -> int:
        """Run on for so many tokens of its stages, or a few more."""

    def spent(self) -> Spent:
        """What each stage has taken since this was last asked."""

    @property
    def outputs(self) -> Outputs:
        """What there is when it is done."""


class Starts(Protocol):
    """What the engine needs of a session."""

    manifest: Manifest

    def start(self, pack: Pack) -> Started:
        """Set a pack on its way."""

    def stop(self, now: bool = True) -> None:
        """From another thread: whatever runs is to raise, soon; not so any more, if not ``now``."""


def passes(manifest: Manifest) -> int:
    """How often a token goes through a stage: what `Started.advance` counts."""
    return sum(stage.kind != "sequences" for stage in manifest.stages)
