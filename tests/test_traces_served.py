"""A real server tells a receiver on loopback of its requests, and does as well without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from benchmarks.otlp import Receiver
from benchmarks.process import ServerProcess, free_port
from tests.conftest import SHIPPED

messages = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="the extra otel is not installed",
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
PREDICT = "/v1/models/digit_sum/predict"
BODY = {"sequences": [[1, 2, 3], [], [9]]}
DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


class Server(ServerProcess):
    """With an environment of its own."""

    def __init__(self, environ: Mapping[str, str], **settings: object) -> None:
        super().__init__(SHIPPED, grace_seconds=0, **settings)
        self._more = environ

    def __enter__(self) -> Server:
        self._environment = {**os.environ, **DIRECT, **self._more}
        super().__enter__()
        return self


def spans(receiver: Receiver) -> list[Any]:
    """All that came, in order."""
    found = []
    for path, body in receiver.bodies:
        assert path == "/v1/traces"
        request = messages.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            names = {own.key: own.value.string_value for own in resource.resource.attributes}
            assert names["service.name"] == "sumserve"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_every_span_of_a_request_arrives_before_the_server_has_ended(workers: int) -> None:
    with Receiver() as receiver:
        settings = {"otel_endpoint": receiver.url, "workers": workers}
        with Server({}, **settings) as server:
            for _ in range(5):
                answer = httpx.post(server.url + PREDICT, json=BODY, headers=HEADERS)
                assert answer.status_code == 200
            httpx.get(server.url + "/metrics")
            lines = [line for line in server.log_lines() if line.get("path") == PREDICT]
        found = spans(receiver)
    whole = [span for span in found if span.name == "POST /v1/models/{name}/predict"]
    assert len(whole) == 5
    assert {span.trace_id.hex() for span in found} == {TRACE}
    assert {span.parent_span_id.hex() for span in whole} == {SPAN}
    assert {span.trace_state for span in whole} == {"vendor=1"}
    assert {line["span_id"] for line in lines} == {span.span_id.hex() for span in whole}
    for span in whole:
        names = [own.name for own in found if own.parent_span_id == span.span_id]
        assert names == ["receive", "decode", "queue", "step", "encode"]
        said = {own.key: own.value for own in span.attributes}
        assert said["sumserve.tokens"].int_value == 4
        assert said["sumserve.model"].string_value == "digit_sum"


def test_opentelemetry_s_own_variables_are_enough() -> None:
    with Receiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with Server(environ) as server:
            httpx.post(server.url + PREDICT, json=BODY, headers=HEADERS)
        assert len(spans(receiver)) == 6


def test_a_receiver_that_is_not_there_harms_nothing() -> None:
    with Server({}, otel_endpoint=f"http://127.0.0.1:{free_port()}", otel_ratio=1) as server:
        for _ in range(20):
            assert httpx.post(server.url + PREDICT, json=BODY).status_code == 200
        server.terminate()
        assert server.process.wait(30) == 0


def test_a_server_without_an_endpoint_never_loads_what_traces_need() -> None:
    code = (
        "import sys, service.server\n"
        "from service.settings import Settings\n"
        "assert service.server.tracing(Settings(), {}) is None\n"
        "print([m for m in sys.modules if m.startswith(('service.spans', 'opentelemetry.sdk'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
