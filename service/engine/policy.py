"""The engine's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may wait, and how long things may take.

    queue_tokens, queue_requests: most that wait; shared_seconds: of a step while a long sequence is
    on its way; step_seconds: after which a step is stopped; timeout: seconds for requests that name
    none; brief_seconds: steps are of so much, and run on the event loop; 0: they do not.
    """

    queue_tokens: int
    queue_requests: int = 1024
    shared_seconds: float = 0.004
    step_seconds: float = 30.0
    timeout: float = math.inf
    brief_seconds: float = 0.0
