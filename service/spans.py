"""A request that is over as OpenTelemetry's spans: its own, and one for each of its parts.

Imports OpenTelemetry, so only `tracing` imports it, where it is wanted. Knows nothing of HTTP
servers but the words that OpenTelemetry has for them.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from service.schema import VERSION
from service.trace_context import TraceContext, Traced

MOST_QUEUED = 16_384  # spans on their way; those above are dropped
CLOSE_SECONDS = 5.0  # to send what is left in
MOST_PATH = 200  # characters of a path that are told
OF_MODEL = re.compile(
    r"/v([12])/models/[^/]+(/versions/[^/]+)?"
    r"(/(?:predict|stream|explain|infer|ready|config|stats))?"
)
CALLS = "/inference.GRPCInferenceService/"  # no method but those there are comes so far
FIELDS = (
    *("request_id", "model", "version", "verification", "tokens", "sequences", "passes"),
    *("spool_bytes", "queue_ms", "compute_ms", "decode_ms", "encode_ms", "reason", "error"),
)


class Given(RandomIdGenerator):
    """Ids that were given out before their spans are made, as logs have them already; else random
    ones.
    """

    def __init__(self) -> None:
        self.trace = self.span = 0

    def generate_trace_id(self) -> int:
        """Of a trace that begins here."""
        return self.trace or super().generate_trace_id()

    def generate_span_id(self) -> int:
        """The one that was given, once."""
        given, self.span = self.span, 0
        return given or super().generate_span_id()


class Exported:
    """Makes spans of one process. Not safe for two threads at once."""

    def __init__(self, processor: SpanProcessor, ratio: float) -> None:
        """ratio: of the requests that are part of no trace yet, those that are recorded."""
        self._ids = Given()
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=_resource(),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("sumserve", VERSION)

    def make(self, request: Traced) -> None:
        """The spans of one, if it is to be recorded."""
        after = time.time_ns() - time.perf_counter_ns()  # the one clock after the other
        scope, fields, whole = request.scope, request.fields, request.whole
        route = _route(scope["path"])
        self._ids.trace, self._ids.span = int(request.trace_id, 16), int(request.span_id, 16)
        span = self._tracer.start_span(
            f"{scope['method']} {route}".strip(),
            _context(request.parent),
            SpanKind.SERVER,
            start_time=after + round(whole.begin * 1e9),
        )
        self._ids.span = 0
        if not span.is_recording():
            return
        span.set_attributes(_attributes(scope, fields, route))
        status = fields["status"] or 500
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR, fields.get("error")))
        within = set_span_in_context(span, Context())
        for own in request.parts:
            begin, end = (after + round(at * 1e9) for at in (own.begin, own.end))
            self._tracer.start_span(own.name, within, start_time=begin).end(end)
        span.end(after + round(whole.end * 1e9))

    def close(self) -> None:
        """Send what there is; who does not take it is not waited for."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


def exported(endpoint: str | None, ratio: float) -> Exported:
    """To an OTLP/HTTP endpoint, its base; without one, as OpenTelemetry's own variables say."""
    url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
    processor = BatchSpanProcessor(OTLPSpanExporter(url), max_queue_size=MOST_QUEUED)
    return Exported(processor, ratio)


def _resource() -> Resource:
    """Who tells of them; OpenTelemetry's own variables may say otherwise."""
    own = Resource.create({"service.name": "sumserve", "service.version": VERSION})
    return own.merge(OTELResourceDetector().detect())


def _context(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    caller = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=TraceState.from_header([parent.state]),
    )
    return set_span_in_context(NonRecordingSpan(caller), Context())


def _route(path: str) -> str:
    """A path without what clients choose in it; "" for those that say little."""
    if path.startswith(CALLS):
        return path
    found = OF_MODEL.fullmatch(path)
    if not found:
        return ""
    version = "/versions/{version}" if found[2] else ""
    return f"/v{found[1]}/models/{{name}}{version}{found[3] or ''}"


def _attributes(scope: Mapping[str, Any], fields: Mapping[str, Any], route: str) -> dict[str, Any]:
    """In the words of OpenTelemetry's conventions for HTTP, and in ours."""
    status, client = fields["status"] or 500, scope.get("client")
    found = {
        "http.request.method": scope["method"],
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"][:MOST_PATH],
        "http.response.status_code": status,
    }
    found |= {"http.route": route} if route else {}
    found |= {"client.address": client[0]} if client else {}
    found |= {"error.type": str(status)} if status >= 500 else {}
    return found | {f"sumserve.{name}": fields[name] for name in FIELDS if name in fields}
