"""The W3C's Trace Context: what is valid is read, and all else is as if it were not there."""

from __future__ import annotations

import pytest

from service.trace_context import TraceContext, trace_context, trace_state

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def read(parent: str, *states: str) -> TraceContext | None:
    states_raw = [(b"tracestate", state.encode("latin-1")) for state in states]
    return trace_context([(b"host", b"x"), (b"traceparent", parent.encode("latin-1")), *states_raw])


def test_trace_span_and_flags_are_read() -> None:
    assert read(VALID) == TraceContext(TRACE, SPAN, 1)
    found = read(f"00-{TRACE}-{SPAN}-02")
    assert found is not None
    assert (found.flags, found.sampled) == (2, False)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert read(f"01-{TRACE}-{SPAN}-01") == TraceContext(TRACE, SPAN, 1)
    assert read(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like") is not None


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"{VALID},{VALID}",
        f"{VALID}\n",
        f"00-{TRACE}-{SPAN}-é1",
        VALID * 1000,
    ],
)
def test_what_is_not_valid_is_ignored(parent: str) -> None:
    assert read(parent, "a=1") is None


def test_two_traceparents_are_none() -> None:
    assert trace_context([(b"traceparent", VALID.encode())] * 2) is None
    assert trace_context([]) is None


def test_tracestates_are_joined_in_order() -> None:
    found = read(VALID, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "fw529a3039@dt=FfDg, ,x=y z")
    assert found is not None
    assert found.state == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,fw529a3039@dt=FfDg,x=y z"


@pytest.mark.parametrize(
    "state",
    [
        "novalue",
        "A=1",
        "a=1=2",
        "a=1,a=2",
        "a=é",
        "a=b\x00",
        "=1",
        ",".join(f"k{i}=v" for i in range(33)),
        "a=" + "v" * 600,
        ",".join(f"k{i}=" + "v" * 200 for i in range(4)),
    ],
)
def test_a_tracestate_that_is_not_valid_is_dropped_and_the_parent_is_kept(state: str) -> None:
    assert read(VALID, state) == TraceContext(TRACE, SPAN, 1)


def test_no_member_is_no_state() -> None:
    assert trace_state(" ,\t,") == ""
