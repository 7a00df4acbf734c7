"""What a slice's blocks contribute to summaries, on its way to the fold.

On a GPU sums of many blocks are taken before they come down, in float64 as the fold takes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from service.graph import Options, ResidentGraph, Value, host
from service.manifest import Summary
from service.names import OUTPUT
from service.pack import Array, Blocks, Slice

Contributions = tuple[dict[str, Array], Array]
Contribute = Callable[[Summary, dict[str, Value], Slice], Contributions]

FLOAT, INT64, DOUBLE = 1, 7, 11  # as ONNX counts types
OPSET, IR_VERSION = 17, 8


def every_block(spec: Summary, fields: dict[str, Value], part: Slice) -> Contributions:
    """Fields (B, ...) as they are, and (B,) whose they are, without the last block: it is empty."""
    rows = {name: host(values)[:-1] for name, values in fields.items()}
    return rows, part.block[:-1] + part.sequences.start


class BlockSums:
    """Adds up BLOCK blocks of a sequence at a time where they lie, on a GPU.

    It is one more session, of a graph of three nodes. Contributions are as many as a 16th of the
    tokens; the fold would take longer over them than a GPU over all the rest.
    """

    def __init__(self, options: Options) -> None:
        self._graph = ResidentGraph(_Sum(), "sum", options)

    def __call__(self, spec: Summary, fields: dict[str, Value], part: Slice) -> Contributions:
        """As `every_block`, of sums of blocks where all that is merged is sums of floats."""
        if spec.merge != "add" or any(f.dtype != "float32" for f in spec.fields.values()):
            return every_block(spec, fields, part)
        # Blocks are to sequences what tokens are; the empty block stands where there is none.
        (blocks,) = Blocks.of(np.bincount(part.block[:-1])).slices(len(part.block))
        sums = {name: self._sum(values, blocks.rows) for name, values in fields.items()}
        return every_block(spec, sums, replace(blocks, sequences=part.sequences))

    def _sum(self, blocks: Value, rows: Array) -> Array:
        found: Array = self._graph.run({"blocks": blocks, "rows": rows})[SUM]
        return found


SUM = f"{OUTPUT}sum"


class _Sum:
    """The files of a bundle that is this one graph: blocks[rows] summed over their second axis."""

    folder = Path(__name__)

    def read(self, name: str) -> bytes:
        """The graph as ONNX: protocol buffers by hand, since serving does without onnx."""
        nodes = (
            _node("Cast", ["blocks"], "wide", _attribute("to", DOUBLE)),
            _node("Gather", ["wide", "rows"], "gathered"),
            _node("ReduceSum", ["gathered", "axes"], SUM, _attribute("keepdims", 0)),
        )
        axes = _number(1, 1) + _number(2, INT64) + _text(8, "axes") + _bytes(7, b"\1")
        graph = b"".join(_bytes(1, node) for node in nodes) + _text(2, name) + _bytes(5, axes)
        graph += _bytes(11, _named("blocks", FLOAT)) + _bytes(11, _named("rows", INT64))
        graph += _bytes(12, _named(SUM, DOUBLE))
        return _number(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, OPSET))


def _node(operator: str, reads: list[str], yields: str, attribute: bytes = b"") -> bytes:
    made = b"".join(_text(1, name) for name in reads) + _text(2, yields)
    made += _text(3, operator.lower()) + _text(4, operator)
    return made + (_bytes(5, attribute) if attribute else b"")


def _attribute(name: str, value: int) -> bytes:
    return _text(1, name) + _number(3, value) + _number(20, 2)


def _named(name: str, of: int) -> bytes:
    """An input or output: a tensor of a type and any shape."""
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, of)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    low = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(part | 128 for part in low[:-1]), low[-1]])
