"""Which trace a request is part of, as W3C Trace Context has it: `traceparent` and `tracestate`.

What is not as it says is ignored, and never an error: whoever asks is answered all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NOTHING = {b"0" * 32, b"0" * 16}  # ids that are none
MOST_MEMBERS, MOST_STATE = 32, 512  # members and characters of a tracestate that is kept

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,255}(?:@[a-z][a-z0-9_\-*/]{0,13})?"
_PRINTED = r"\x21-\x2b\x2d-\x3c\x3e-\x7e"  # but for the comma and the equals sign
_MEMBER = re.compile(rf"({_KEY})=[ {_PRINTED}]{{0,255}}[{_PRINTED}]")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Whose span a request is: trace (32 hexadecimal digits) and span (16) of whoever asks.

    flags: bit 0 says that it is recorded there; state: what its tracing system wants handed on.
    """

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Whether whoever asks records the trace."""
        return bool(self.flags & 1)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request, by `time.perf_counter`."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Traced:
    """A request that is over: ids of its own span, whose parent is the caller's, and its parts.

    scope: ASGI's; fields: of its log line.
    """

    trace_id: str
    span_id: str
    parent: TraceContext | None
    scope: Mapping[str, Any]
    fields: Mapping[str, Any]
    whole: Part
    parts: Iterable[Part]


def trace_context(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """What a request's headers (lower case names) say; None where they say nothing valid."""
    parents, states = [], []
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
    if len(parents) != 1:
        return None
    found = _PARENT.fullmatch(parents[0])
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or {trace, span} & NOTHING:
        return None
    state = trace_state(b",".join(states).decode("latin-1")) if states else ""
    return TraceContext(trace.decode(), span.decode(), int(flags, 16), state)


def trace_state(text: str) -> str:
    """A tracestate as it is to be handed on; "" where it is not one."""
    members = [own for member in text.split(",") if (own := member.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {own[1] for own in found if own}
    if len(keys) < len(members) or len(members) > MOST_MEMBERS:  # one is no member, or comes twice
        return ""
    state = ",".join(members)
    return state if len(state) <= MOST_STATE else ""
