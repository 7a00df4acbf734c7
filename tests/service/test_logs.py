from __future__ import annotations

import json
import logging
import sys

from service.logs import JsonFormatter


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
