"""Which wires there are for streams: a reader of pieces and a writer of them each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from service.errors import UnsupportedMedia, quoted
from service.manifest import Manifest
from service.negotiation import preferred
from service.pack import Array
from service.wires import exchange
from service.wires.arrow_batches import ArrowBatches
from service.wires.arrow_pieces import ArrowPieces
from service.wires.exchange import ARROW, JSON, media
from service.wires.json_lines import JsonLines
from service.wires.json_pieces import JsonPieces
from service.wires.pieces import PieceReader
from service.wires.validation import Limits

NDJSON = "application/x-ndjson"

Headers = Mapping[str, str]


class PieceWriter(Protocol):
    """Writes one answer."""

    def piece(self, tokens: int, outputs: Mapping[str, Array]) -> bytes:
        """Outputs per token of a piece, name -> (tokens, width)."""

    def end(self, outputs: Mapping[str, Array], usage: Mapping[str, Any]) -> bytes:
        """The end, with outputs per sequence, name -> (1, width)."""

    def error(self, message: str) -> bytes:
        """What is said in place of the rest, where the form has a place for it."""


def reader(headers: Headers, manifest: Manifest, limits: Limits, most_bytes: int) -> PieceReader:
    """Of what Content-Type names, NDJSON without; UnsupportedMedia for others."""
    given = media(headers.get("content-type") or NDJSON)
    if given == NDJSON:
        return JsonPieces(exchange.READERS[JSON], manifest, limits, most_bytes)
    if given == ARROW:
        return ArrowPieces(exchange.READERS[ARROW], manifest, limits, most_bytes)
    raise UnsupportedMedia(
        f"Content-Type {quoted(given)} is not supported for streams; there are {', '.join(WRITERS)}"
    )


def writer(headers: Headers, manifest: Manifest) -> tuple[str, PieceWriter]:
    """Of what Accept prefers, NDJSON without: its media type, and the writer."""
    chosen = preferred(headers.get("accept", ""), WRITERS) or NDJSON
    return chosen, WRITERS[chosen](manifest)


WRITERS: Mapping[str, Callable[[Manifest], PieceWriter]] = {NDJSON: JsonLines, ARROW: ArrowBatches}
