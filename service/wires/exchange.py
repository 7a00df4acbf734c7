"""What all wires have in common: a request read, and a way to answer it. And which wires there are.

A wire is a function that reads a body; what it returns knows how to write the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.engine.job import DEFAULT_PRIORITY
from service.engine.request import Outputs
from service.errors import UnsupportedMedia, quoted
from service.manifest import Manifest
from service.negotiation import preferred
from service.pack import Pack
from service.wires import arrow_answer, json_answer, oip_answer, oip_fields
from service.wires.arrow_sequences import ArrowSequences
from service.wires.document import Document
from service.wires.json_sequences import JsonSequences
from service.wires.oip_request import OipRequest, Wanted, read
from service.wires.oip_sequences import OipSequences
from service.wires.validation import Limits, admit

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"

Headers = Mapping[str, str]
Body = bytes | bytearray


@dataclass(frozen=True, slots=True)
class Reply:
    """The body and headers of a response."""

    body: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as its wire reads it. timeout: seconds; answer: outputs and usage -> a reply."""

    pack: Pack
    answer: Callable[[Outputs, Mapping[str, Any]], Reply]
    timeout: float | None = None
    priority: int = DEFAULT_PRIORITY


Wire = Callable[[Body, Headers, Manifest, Limits], Exchange]


def predict(body: Body, headers: Headers, manifest: Manifest, limits: Limits) -> Exchange:
    """A request in JSON or Arrow, as Content-Type says, answered in what Accept prefers."""
    given = media(headers.get("content-type") or JSON)
    if given not in READERS:
        raise UnsupportedMedia(
            f"Content-Type {quoted(given)} is not supported; there are {', '.join(READERS)}"
        )
    writer = WRITERS[preferred(headers.get("accept", ""), WRITERS) or JSON]
    pack = READERS[given](body, manifest, limits)
    return Exchange(pack, partial(writer, manifest, pack))


def infer(body: Body, headers: Headers, manifest: Manifest, limits: Limits) -> Exchange:
    """A request of the Open Inference Protocol, over HTTP."""
    header = headers.get(oip_answer.HEADER.lower())
    request = read(body, header, manifest, limits)
    return exchanged(request, manifest, limits, oip_answer.encode)


Encode = Callable[
    [OipRequest, Sequence[Wanted], OipSequences, Manifest, Outputs], tuple[bytes, Headers]
]


def exchanged(request: OipRequest, manifest: Manifest, limits: Limits, encode: Encode) -> Exchange:
    """A request of that protocol, read in whatever form. encode: writes the answer in the same."""
    wanted = oip_answer.wanted(request, manifest)
    form = OipSequences(request.inputs, request.parameters, manifest, limits)
    pack = admit(form, manifest, limits)

    def answer(outputs: Outputs, _: Mapping[str, Any]) -> Reply:
        return Reply(*encode(request, wanted, form, manifest, outputs))

    parameters = request.parameters
    return Exchange(pack, answer, oip_fields.timeout(parameters), oip_fields.priority(parameters))


def _read_json(body: Body, manifest: Manifest, limits: Limits) -> Pack:
    return admit(
        JsonSequences(Document(body, limits.json_depth), manifest, limits), manifest, limits
    )


def _read_arrow(body: Body, manifest: Manifest, limits: Limits) -> Pack:
    return admit(ArrowSequences.read(body, manifest, limits), manifest, limits)


def _write_json(manifest: Manifest, pack: Pack, outputs: Outputs, usage: Any) -> Reply:
    body = json_answer.encode(manifest, pack.lengths, outputs, usage)
    return Reply(body, {"Content-Type": JSON})


def _write_arrow(manifest: Manifest, pack: Pack, outputs: Outputs, usage: Any) -> Reply:
    body = arrow_answer.encode(manifest, pack.lengths, outputs)
    return Reply(body, {"Content-Type": ARROW})


READERS = {JSON: _read_json, ARROW: _read_arrow}
WRITERS = {JSON: _write_json, ARROW: _write_arrow}


def media(header: str) -> str:
    """The media type that a Content-Type names."""
    return header.partition(";")[0].strip().lower()
