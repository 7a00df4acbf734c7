"""Traces of requests: which one each is part of, and what tells of its parts, where that is wanted.

Spans are made once a request is over, of times that it has anyway: without tracing they cost
nothing. Knows where OpenTelemetry is (`spans`), and does without it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from starlette.types import Scope

from service.engine.request import Answer
from service.errors import SettingsError
from service.settings import Settings
from service.trace_context import Part, TraceContext, Traced, trace_context

PARTS = "sumserve.parts"  # in a request's scope: a list of its parts, where they are wanted
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")  # of its exporter
UNTRACED = (  # asked for again and again
    *("/metrics", "/v2/health/live", "/v2/health/ready"),
    *(f"/inference.GRPCInferenceService/Server{what}" for what in ("Live", "Ready")),
)
EXTRA = "tracing needs what is not installed: pip install 'sumserve[otel]'"

log = logging.getLogger("sumserve.tracing")


class Spans(Protocol):
    """What makes spans of requests, and sends them off."""

    def make(self, request: Traced) -> None:
        """Of one that is to be recorded."""

    def close(self) -> None:
        """Send what there is, within a few seconds."""


@dataclass(slots=True)
class Trace:
    """The one that a request is part of. fields: for its log line, to be read when it is over."""

    scope: Scope
    spans: Spans | None
    fields: dict[str, str] = field(init=False)
    _parent: TraceContext | None = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._parent = parent = trace_context(self.scope["headers"])
        self.fields = {"trace_id": parent.trace_id, "span_id": parent.span_id} if parent else {}
        self._began = time.perf_counter()
        if self.spans is None:
            return
        if self.scope["path"] in UNTRACED:
            self.spans = None
            return
        trace = parent.trace_id if parent else f"{random.getrandbits(128) or 1:032x}"
        span = f"{random.getrandbits(64) or 1:016x}"
        self.fields = {"trace_id": trace, "span_id": span}
        self.scope[PARTS] = []

    def over(self, fields: Mapping[str, Any]) -> None:
        """The request is. fields: of its log line."""
        if self.spans is not None:
            whole = Part("request", self._began, time.perf_counter())
            ids = self.fields["trace_id"], self.fields["span_id"], self._parent
            try:
                self.spans.make(Traced(*ids, self.scope, fields, whole, self.scope[PARTS]))
            except Exception:  # nobody is answered otherwise because of that
                log.exception("a trace was lost")


def part(scope: Scope, name: str, begin: float, end: float) -> None:
    """A part of a request is over."""
    if (parts := scope.get(PARTS)) is not None:
        parts.append(Part(name, begin, end))


def answered(scope: Scope, begun: float, decoded: float, answer: Answer, returned: float) -> None:
    """A prediction's parts, once its answer is encoded; by `time.perf_counter`."""
    if PARTS not in scope:
        return
    part(scope, "decode", begun, decoded)
    part(scope, "queue", decoded, decoded + answer.queue_ms / 1e3)
    for began, seconds in answer.steps:
        part(scope, "step", began, began + seconds)
    part(scope, "encode", returned, time.perf_counter())


def tracing(settings: Settings, environ: Mapping[str, str]) -> Spans | None:
    """What makes spans, if anybody is to have them: at the endpoint that is set, or at that which
    OpenTelemetry's own variables name. SettingsError where what is needed is not installed.
    """
    named = any(environ.get(name) for name in ENDPOINTS)
    if not (settings.otel_endpoint or named) or environ.get("OTEL_SDK_DISABLED") == "true":
        return None
    try:
        spans = import_module("service.spans")
    except ModuleNotFoundError as error:
        raise SettingsError(EXTRA) from error
    made: Spans = spans.exported(settings.otel_endpoint, settings.otel_ratio)
    return made
