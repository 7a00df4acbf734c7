from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from service import logs
from service.logs import JsonFormatter, Lines


def line(worker: int | None = None, **changes: object) -> dict[str, object]:
    record = logging.LogRecord("sumserve.x", logging.INFO, "f", 1, 'say "%s"', ("hi\n",), None)
    record.__dict__.update(changes)
    text = JsonFormatter(worker).format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_record_is_one_json_line_with_its_fields() -> None:
    found = line(fields={"tokens": 3})
    assert (found["level"], found["message"], found["tokens"]) == ("info", 'say "hi\n"', 3)
    assert str(found["time"]).endswith("+00:00")


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        found = line(exc_info=sys.exc_info())
    assert "boom" in str(found["traceback"])


def test_one_of_several_workers_says_which_it_is() -> None:
    assert line(worker=0)["worker"] == 0
    assert "worker" not in line()


def test_the_time_is_that_of_the_record_to_the_millisecond() -> None:
    formatter = JsonFormatter()
    for seconds in (1.7e9, 1.7e9 + 0.25, 1.7e9 + 59.9995, 1.7e9 - 3.001):
        found = json.loads(formatter.written(seconds, "info", "x", "y", {}))
        wanted = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
        assert abs(datetime.fromisoformat(found["time"]).timestamp() - seconds) <= 0.001
        assert len(found["time"]) == len(wanted)


def test_a_line_told_by_the_short_way_is_the_one_that_is_logged() -> None:
    file, fields = io.BytesIO(), {"tokens": 3, "status": 200}
    handler = Lines(JsonFormatter(worker=4), file)
    handler.tell("sumserve.x", "request", fields)
    record = logging.LogRecord("sumserve.x", logging.INFO, "f", 1, "request", (), None)
    record.__dict__["fields"] = fields
    handler.handle(record)
    told, logged = (json.loads(line) for line in file.getvalue().splitlines())
    assert len(told.pop("time")) == len(logged.pop("time"))
    assert list(told.items()) == list(logged.items())
    assert told["worker"] == 4


def test_there_is_a_short_way_only_where_nothing_else_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only, other = Lines(JsonFormatter(), io.BytesIO()), logging.NullHandler()
    for handlers, wanted in (([only], only), ([only, other], None), ([other], None), ([], None)):
        monkeypatch.setattr(logging.root, "handlers", handlers)
        assert logs.lines() is wanted


def test_a_disk_that_is_full_stops_nobody() -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "no space left")

    handler = Lines(JsonFormatter(), Full())
    handler.tell("sumserve.x", "request", {})
    assert handler.lock is not None
