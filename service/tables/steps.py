"""A pack of any size through a session, in steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.engine.starts import Runs
from service.pack import Array, Pack
from service.wires.validation import Limits

NO_LIMITS = Limits(tokens=2**62, sequences=2**62)  # the file is the user's own


def answers(session: Runs, pack: Pack, step_tokens: int) -> dict[str, Array]:
    """What `run` says of the whole pack, of about so many tokens at a time."""
    parts = [session.run(pack.part(*span)) for span in _spans(pack.lengths, step_tokens)]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _spans(lengths: Array, most: int) -> Iterator[tuple[int, int]]:
    """Runs of whole sequences, each of at most so many tokens or of one sequence."""
    ends, first, done = np.cumsum(lengths), 0, 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield first, last
        first, done = last, int(ends[last - 1])
