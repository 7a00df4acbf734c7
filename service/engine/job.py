"""What the scheduler knows of work: jobs by the lengths of their sequences, and steps of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

DEFAULT_PRIORITY = 2**31  # after all that name one: 1 is the highest


def cost(length: int) -> int:
    """Tokens a sequence counts for; an empty one still takes a place."""
    return max(1, length)


@dataclass(eq=False, slots=True)
class Job:
    """One request's sequences of one model.

    passes: how often each token goes through a stage, which is what long sequences are counted in.
    deadline: seconds on the clock of whoever asks for steps; past it the job is in none of them.
    whole: its one sequence is never cut, however long.
    """

    model: str
    lengths: Sequence[int]
    client: str = ""
    priority: int = DEFAULT_PRIORITY
    passes: int = 1
    deadline: float = field(default=math.inf, kw_only=True)
    whole: bool = field(default=False, kw_only=True)
    next: int = field(default=0, init=False)  # the first sequence that is in no step
    dropped: bool = field(default=False, init=False)
    cost: int = field(init=False)
    left: int = field(init=False)  # tokens of sequences that are in no step

    def __post_init__(self) -> None:
        assert self.lengths, "a job has at least one sequence"
        self.cost = self.left = sum(map(cost, self.lengths))

    def gone(self, now: float) -> bool:
        """Whether nobody awaits it any more."""
        return self.dropped or self.deadline <= now


@dataclass(frozen=True, slots=True)
class Part:
    """Sequences ``first..last`` (last excluded) of a job, each of them whole."""

    job: Job
    first: int
    last: int
    tokens: int = field(init=False)  # of all of them

    def __post_init__(self) -> None:
        tokens = sum(map(cost, self.job.lengths[self.first : self.last]))
        object.__setattr__(self, "tokens", tokens)


@dataclass(eq=False, slots=True)
class Long:
    """A sequence that goes through its stages bit by bit.

    left: tokens times passes that are not planned yet; done: before that, as chunks run a bit over.
    """

    job: Job
    sequence: int
    left: int = field(init=False)
    done: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.left = self.length * self.job.passes

    @property
    def length(self) -> int:
        """Its tokens."""
        return self.job.lengths[self.sequence]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next so many tokens of a long sequence's stages, or a few more; all, if ``last``."""

    long: Long
    tokens: int
    last: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What one engine run works on, of one model."""

    model: str
    parts: tuple[Part, ...]
    chunk: Chunk | None = None

    @property
    def tokens(self) -> int:
        """Of whole sequences, and of the chunk about so many."""
        parts = sum(part.tokens for part in self.parts)
        return parts + (self.chunk.tokens // self.chunk.long.job.passes if self.chunk else 0)

    @property
    def sequences(self) -> int:
        """How many it works on."""
        return sum(part.last - part.first for part in self.parts) + (self.chunk is not None)
