"""A mistake of ours in a stream is a 500, or cuts its answer short; and it is counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest

from service.application import Service
from service.complaint import BUG
from tests.service.streams.conftest import Serving
from tests.service.streams.holding import endless
from tests.service.streams.talk import Talk, run

LINE = b"[[1, 2, 3]]\n"


def fails(*_: object) -> None:
    raise ZeroDivisionError


def failures(service: Service) -> int:
    count: int = service.statistics.of("plain", "1")["inference_stats"]["fail"]["count"]
    return count


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("service.streams.tokens.Tokens.add", endless(LINE)),
        ("service.streams.tokens.Tokens.check_end", [LINE]),
        ("service.streams.belt.Belt.alone", []),
    ],
)
def test_before_the_answer_it_is_a_500(
    serving: Serving,
    where: str,
    parts: Iterable[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = serving(body_seconds=0.2)
    monkeypatch.setattr(where, fails)
    talk = run(service, Talk(parts), "plain")
    assert talk.status == 500
    assert talk.lines == [{"error": BUG}]
    assert talk.ended
    assert failures(service) == 1
    (line,) = [line for line in caplog.records if line.levelno == logging.ERROR]
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError


def test_in_the_answer_it_ends_it_without_an_end(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serving()
    monkeypatch.setattr("service.streams.belt.Belt.alone", fails)
    talk = run(service, Talk([LINE]), "plain")
    assert (talk.status, talk.ended, talk.cut) == (200, False, True)
    assert talk.lines[-1] == {"error": BUG}
    assert talk.log["status"] == 500
    assert failures(service) == 1
