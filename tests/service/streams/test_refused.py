"""Streams that are refused: by what they ask, what they send, and what they would take."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import Any

import pytest

from service.api import create_app
from service.errors import QueueFull
from service.manifest import AttentionStage
from service.streams.streamed import Streams
from tests.service.client import Client
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.holding import endless
from tests.service.streams.talk import Talk, described, run, to_its_end

REFUSED: dict[str, tuple[int, str, dict[str, Any], dict[str, str]]] = {
    "nobody": (404, "unknown model 'nobody'", {}, {}),
    "pooled": (400, "line 1: x[0][0]: 3 numbers, the width is 2", {}, {}),
    "plain": (413, "line 1 is larger than the limit of 5 bytes", {"max_piece_bytes": 5}, {}),
    "stack": (415, "Content-Type 'text/x' is not supported for streams", {},
              {"content-type": "text/x"}),
    "ids": (415, "Content-Encoding 'br' is not supported", {}, {"content-encoding": "br"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_endless_upload_is_refused_at_once(serving: Serving, name: str) -> None:
    status, why, settings, headers = REFUSED[name]
    talk = Talk(endless(b"[[1, 2, 3]]\n"), headers)
    service = serving(body_seconds=0.2, **settings)
    run(service, talk, name)
    assert talk.status == status
    assert why in talk.lines[0]["error"]
    assert talk.headers["connection"] == "close"
    assert talk.ended


def test_the_length_of_the_whole_is_what_counts(serving: Serving) -> None:
    talk = run(serving(body_seconds=0.2), Talk(endless(b"[1, 2, 3, 4]\n")), "ids")
    assert (talk.status, "the maximum is 300" in talk.lines[0]["error"]) == (400, True)
    talk = run(serving(max_stream_tokens=10), Talk([b"[[1, 2]]\n"] * 11), "pooled")
    assert talk.lines == [
        {"error": "the sequence has 11 tokens or more, the limit is 10 per stream"}
    ]


def test_a_model_whose_tokens_attend_is_not_streamed_to(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serving()
    served = service.catalog.find("plain")
    own = served.manifest
    stages = (own.stages[0], AttentionStage(file="a.onnx", heads=1, unpadded=False))
    monkeypatch.setattr(served, "manifest", own.model_copy(update={"stages": stages}))
    talk = run(service, Talk([b"[]\n"]), "plain")
    assert talk.status == 400
    assert talk.lines[0]["error"] == (
        "model 'plain' cannot be streamed to: its tokens attend to each other, which takes all of "
        "them at once; POST the sequence to /v1/models/plain/predict"
    )
    assert Client(create_app(service)).get("/v1/models/plain").json()["streaming"] is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"max_stream_spool_bytes": 5000}, "more than the limit of 5000 bytes per stream"),
        ({"max_spool_bytes": 5000}, "the limit is 5000 in all"),
    ],
)
def test_a_spool_that_is_full_is_a_507(
    serving: Serving, settings: dict[str, Any], why: str
) -> None:
    service = serving(**settings)
    talk = run(service, Talk(lines(draw(described(service, "plain"), 2000), [50])), "plain")
    assert talk.status == 507
    assert why in talk.lines[0]["error"]
    talk = run(service, Talk(lines(draw(described(service, "pooled"), 2000), [50])), "pooled")
    assert talk.status == 200, "a pooled model keeps nothing"


def test_too_many_streams_are_a_429(serving: Serving) -> None:
    async def two() -> None:
        streams = Streams(serving(max_streams=1, body_seconds=0.2))
        with streams.one_more("me"):
            talk = Talk([b"[]\n"])
            await talk.held(streams, "plain")
            assert (talk.status, talk.headers["retry-after"]) == (429, "1")
        await (again := Talk([b"[]\n"])).held(streams, "plain")
        assert again.status == 200
        assert streams.open == 0

    to_its_end(two())


def test_a_full_house_has_room_for_who_has_less_than_a_share(serving: Serving) -> None:
    streams, found = Streams(serving(max_streams=8)), dict[str, int]()
    with ExitStack() as stack:
        for name in ("first", "second", "third", "fourth"):
            with suppress(QueueFull):
                for found[name] in range(99):
                    stack.enter_context(streams.one_more(name))
        assert found == {"first": 8, "second": 4, "third": 2, "fourth": 2}
        with pytest.raises(QueueFull, match="16 streams are open, of 4 clients; the limit is 8"):
            stack.enter_context(streams.one_more("fifth"))
    assert streams.open == 0
    with streams.one_more("fifth"):
        assert streams.open == 1


def test_whose_a_stream_is_counts(serving: Serving) -> None:
    async def two() -> None:
        streams = Streams(serving(max_streams=2, body_seconds=0.2))
        with streams.one_more("me"), streams.one_more("me"):
            await (mine := Talk([b"[]\n"])).held(streams, "plain")
            await (other := Talk([b"[]\n"], client="other")).held(streams, "plain")
            assert (mine.status, other.status) == (429, 200)

    to_its_end(two())
