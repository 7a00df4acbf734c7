"""The log line of a request: its fields are those of the documentation."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from unittest.mock import patch

import pytest

from service.api import create_app
from service.errors import QueueFull
from service.logs import JsonFormatter
from tests.conftest import ROOT
from tests.service.client import Client
from tests.service.fakes import service

PREDICT, GOOD = "/v1/models/vectors/predict", {"sequences": [[[1, 2], [3, 4]], [[5, 6]]]}
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def documented() -> set[str]:
    """The fields of the table of the log, and those that every line has."""
    text = (ROOT / "docs" / "observability.md").read_text()
    section = text.partition("## The log")[2].partition("## ")[0]
    return set(re.findall(r"`(\w+)`", section))


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [record for record in caplog.records if record.name == "sumserve.access"]
    return [json.loads(JsonFormatter().format(record)) for record in found]


def test_every_field_of_a_request_s_line_is_documented(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sumserve.access")
    own = service()
    client = Client(create_app(own))
    client.post(PREDICT, json=GOOD, headers=PARENT)
    with patch.object(own.engine, "predict", side_effect=QueueFull("full", 1, "tokens")):
        client.post(PREDICT, json=GOOD)
    good, refused = lines(caplog)
    assert good.keys() | refused.keys() <= documented()
    assert (good["tokens"], good["sequences"], good["status"]) == (3, 2, 200)
    assert good["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (refused["reason"], refused["error"], refused["status"]) == ("tokens", "full", 429)
    timings = {"queue_ms", "compute_ms", "decode_ms", "encode_ms", "duration_ms"}
    assert timings <= good.keys()
    assert all(good[name] >= 0 for name in timings)
