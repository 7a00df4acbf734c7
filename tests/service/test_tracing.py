"""Requests as spans, in memory; and logs, with and without them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from service import tracing
from service.api import create_app
from service.application import Service
from service.errors import SettingsError
from service.logs import JsonFormatter
from service.settings import Settings
from tests.service.client import Client
from tests.service.fakes import service

spans = pytest.importorskip("service.spans", reason="the extra otel is not installed")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
export = pytest.importorskip("opentelemetry.sdk.trace.export")

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = {"sequences": [[[1, 2], [3, 4]], [[5, 6]]]}
PREDICT = "/v1/models/vectors/predict"


class Traced:
    """An application whose spans are kept."""

    def __init__(self, ratio: float = 1.0, on: bool = True) -> None:
        self._kept = memory.InMemorySpanExporter()
        self.service: Service = service()
        made = spans.Exported(export.SimpleSpanProcessor(self._kept), ratio) if on else None
        self.client = Client(create_app(self.service, spans=made))

    def predict(self, path: str = PREDICT, **headers: str) -> Any:
        return self.client.post(path, json=GOOD, headers=headers)

    @property
    def spans(self) -> dict[str, Any]:
        """By their names."""
        return {span.name: span for span in self._kept.get_finished_spans()}

    @property
    def all(self) -> Sequence[Any]:
        found: Sequence[Any] = self._kept.get_finished_spans()
        return found


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the access log says, as JSON."""
    found = [record for record in caplog.records if record.name == "sumserve.access"]
    return [json.loads(JsonFormatter().format(record)) for record in found]


def parent(flags: str = "01") -> str:
    return f"00-{TRACE}-{SPAN}-{flags}"


def hexadecimal(number: int, digits: int) -> str:
    return f"{number:0{digits}x}"


def test_a_prediction_is_a_span_with_its_parts_in_order() -> None:
    traced = Traced()
    assert traced.predict().status_code == 200
    whole = traced.spans["POST /v1/models/{name}/predict"]
    parts = [span for span in traced.all if span.parent == whole.context]
    assert [span.name for span in parts] == ["receive", "decode", "queue", "step", "encode"]
    assert len(traced.all) == len(parts) + 1
    times = [at for span in parts for at in (span.start_time, span.end_time)]
    slack = 2_000  # nanoseconds: sums of floats are not exact
    assert all(later >= before - slack for before, later in pairwise(times))
    assert whole.start_time <= times[0]
    assert times[-1] <= whole.end_time


def test_a_span_says_what_was_asked_and_what_it_took() -> None:
    traced = Traced()
    traced.predict(**{"X-Request-Id": "mine"})
    whole = traced.spans["POST /v1/models/{name}/predict"]
    said = dict(whole.attributes)
    assert said["http.route"] == "/v1/models/{name}/predict"
    assert (said["http.request.method"], said["http.response.status_code"]) == ("POST", 200)
    assert said["url.path"] == PREDICT
    assert (said["sumserve.model"], said["sumserve.version"]) == ("vectors", "3")
    assert (said["sumserve.tokens"], said["sumserve.sequences"]) == (3, 2)
    assert said["sumserve.request_id"] == "mine"
    assert said["sumserve.queue_ms"] >= 0
    assert whole.kind.name == "SERVER"
    assert whole.status.status_code.name == "UNSET"
    assert whole.resource.attributes["service.name"] == "sumserve"


def test_the_caller_s_trace_goes_on() -> None:
    traced = Traced(ratio=0.0)
    traced.predict(traceparent=parent(), tracestate="vendor=1, other=2")
    whole = traced.spans["POST /v1/models/{name}/predict"]
    assert hexadecimal(whole.context.trace_id, 32) == TRACE
    assert hexadecimal(whole.parent.span_id, 16) == SPAN
    assert whole.context.trace_state.to_header() == "vendor=1,other=2"


@pytest.mark.parametrize(
    ("ratio", "flags", "kept"),
    [(1.0, "00", False), (1.0, "02", False), (0.0, "03", True), (0.0, "", False), (1.0, "", True)],
)
def test_the_caller_s_flag_decides_and_without_one_the_ratio(
    ratio: float, flags: str, kept: bool
) -> None:
    traced = Traced(ratio)
    traced.predict(**({"traceparent": parent(flags)} if flags else {}))
    assert bool(traced.all) == kept


@pytest.mark.parametrize("given", ["", "garbage", f"ff-{TRACE}-{SPAN}-01", "é" * 99])
def test_garbage_begins_a_trace_of_its_own(given: str) -> None:
    traced = Traced()
    assert traced.predict(traceparent=given.encode("latin-1")).status_code == 200  # type: ignore[arg-type]
    whole = traced.spans["POST /v1/models/{name}/predict"]
    assert whole.parent is None
    assert hexadecimal(whole.context.trace_id, 32) != TRACE


def test_the_log_line_has_the_ids_of_the_span(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "sumserve.access")
    traced = Traced()
    traced.predict(traceparent=parent())
    traced.predict()
    first, second = (s.context for s in traced.all if s.name.startswith("POST"))
    found = [(line["trace_id"], line["span_id"]) for line in lines(caplog)]
    wanted = [(hexadecimal(c.trace_id, 32), hexadecimal(c.span_id, 16)) for c in (first, second)]
    assert found == wanted
    assert found[0][0] == TRACE
    assert found[0] != found[1]


def test_without_tracing_the_log_line_has_the_ids_of_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "sumserve.access")
    traced = Traced(on=False)
    traced.predict(traceparent=parent("00"))
    traced.predict()
    traced.predict(traceparent="garbage")
    own, *others = lines(caplog)
    assert (own["trace_id"], own["span_id"]) == (TRACE, SPAN)
    assert not any("trace_id" in line or "span_id" in line for line in others)
    assert not traced.all


def test_no_header_of_an_answer_tells_of_the_trace() -> None:
    answer = Traced().predict(traceparent=parent())
    assert not {"traceresponse", "traceparent", "tracestate"} & {*answer.headers}


def test_a_request_that_is_wrong_is_a_span_and_no_error_of_the_server() -> None:
    traced = Traced()
    traced.client.post(PREDICT, json={"sequences": [[[1]]]})
    traced.client.post("/v1/models/none-such/versions/" + "9" * 500 + "/predict", json=GOOD)
    first, second = (s for s in traced.all if s.name.startswith("POST"))
    assert first.attributes["http.response.status_code"] == 400
    assert "the width is 2" in first.attributes["sumserve.error"]
    assert first.status.status_code.name == "UNSET"
    assert second.name == "POST /v1/models/{name}/versions/{version}/predict"
    assert len(second.attributes["url.path"]) <= 200


def test_words_that_are_of_no_route_are_in_no_name() -> None:
    traced = Traced()
    for word in ("zzz", "predictx", "infer/x"):
        traced.client.post(f"/v1/models/vectors/{word}", json=GOOD)
    assert [span.name for span in traced.all] == ["POST"] * 3


def test_an_error_of_the_server_is_one_of_the_span() -> None:
    traced = Traced()
    traced.service.readiness.draining = True
    shut_down(traced.service)
    assert traced.predict().status_code == 503
    whole = traced.spans["POST /v1/models/{name}/predict"]
    assert whole.status.status_code.name == "ERROR"
    assert whole.attributes["error.type"] == "503"


def shut_down(own: Service) -> None:
    """As after a shutdown."""
    own.engine._closed = True


@pytest.mark.parametrize("path", tracing.UNTRACED)
def test_what_is_asked_again_and_again_is_not_traced(path: str) -> None:
    traced = Traced()
    traced.client.get(path)
    traced.client.get("/v1/models")
    assert [span.name for span in traced.all] == ["GET"]


def test_a_mistake_in_tracing_is_logged_and_the_request_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def make(self, request: object) -> None:
            raise RuntimeError("spans are gone")

        def close(self) -> None:
            """Nothing is open."""

    client = Client(create_app(service(), spans=Broken()))
    assert client.post(PREDICT, json=GOOD).status_code == 200
    assert "a trace was lost" in caplog.text


@pytest.mark.parametrize(
    ("settings", "environ", "on"),
    [
        ({}, {}, False),
        ({"otel_endpoint": "http://127.0.0.1:9"}, {}, True),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/x"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"otel_endpoint": "http://127.0.0.1:9"}, {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_it_is_off_unless_an_endpoint_is_set(
    settings: dict[str, Any], environ: dict[str, str], on: bool
) -> None:
    found = tracing.tracing(Settings.model_validate(settings), environ)
    assert (found is not None) == on
    if found:
        found.close()


def test_without_the_extra_the_start_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"pip install 'sumserve\[otel\]'"):
        tracing.tracing(Settings(otel_endpoint="http://127.0.0.1:9"), {})
