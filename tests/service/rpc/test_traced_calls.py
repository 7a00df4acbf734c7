"""Calls as spans, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from service.repository.control import Control
from service.rpc.server import application
from service.siblings import Siblings
from service.whole import Whole
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.rpc.asking import PATH, ask, infer_request
from tests.service.wires.oip import floats

spans = pytest.importorskip("service.spans", reason="the extra otel is not installed")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
export = pytest.importorskip("opentelemetry.sdk.trace.export")

INFER = f"{PATH}/ModelInfer"


def traced() -> tuple[Client, Any]:
    """Something to ask, and where its spans are kept."""
    kept, served, alone = memory.InMemorySpanExporter(), service(), Siblings()
    served.readiness.started = True
    made = spans.Exported(export.SimpleSpanProcessor(kept), 1.0)
    whole, control = Whole(served, alone), Control(served.repository, alone)
    return Client(application(served, whole, control, None, made)), kept


def test_an_inference_has_the_parts_that_it_has_over_http() -> None:
    client, kept = traced()
    asked = infer_request({"x": floats([[1, 2], [3, 4]])}, model_name="vectors")
    assert client.post(INFER, content=asked.SerializeToString()).status_code == 200
    *parts, whole = sorted(kept.get_finished_spans(), key=lambda span: span.name.startswith("POST"))
    assert whole.name == f"POST {INFER}"
    parts.sort(key=lambda span: span.start_time)
    assert [span.name for span in parts] == ["receive", "decode", "queue", "step", "encode"]
    assert all(span.parent == whole.context for span in parts)


def test_health_is_asked_for_again_and_again_and_not_traced() -> None:
    client, kept = traced()
    assert ask(client, "ServerLive").live
    assert ask(client, "ServerReady").ready
    ask(client, "ServerMetadata")
    assert [span.name for span in kept.get_finished_spans()] == [f"POST {PATH}/ServerMetadata"]
