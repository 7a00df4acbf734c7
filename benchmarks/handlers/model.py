"""The reference model as every peer runs it: bodies to arrays, one graph in onnxruntime, and back.

Needs numpy, onnxruntime and orjson, and nothing else of this repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson

from benchmarks.handlers.batches import WIDTH, Array, blocked, padded
from benchmarks.handlers.setting import PACKED, Place, Setting

JSON = b'{"x":'  # how a body in JSON begins


@dataclass(frozen=True)
class Item:
    """A request's tokens or its answer, and whether its body is JSON."""

    rows: Array
    json: bool


def decode(body: bytes) -> Item:
    """Tokens of 8 floats: JSON {"x": ...}, or float32 as they lie in memory."""
    if body[: len(JSON)] == JSON:
        return Item(np.array(orjson.loads(body)["x"], np.float32).reshape(-1, WIDTH), True)
    return Item(np.frombuffer(body, np.float32).reshape(-1, WIDTH), False)


def encode(item: Item) -> bytes:
    """The answer as its request was written."""
    if item.json:
        return orjson.dumps({"y": item.rows}, option=orjson.OPT_SERIALIZE_NUMPY)
    return item.rows.tobytes()


class Model:
    """A session with the options that every contender has."""

    def __init__(self, place: Place) -> None:
        setting = place.setting
        self.alone = setting.batch == 1
        self.packed = setting.graph == PACKED
        name = "packed" if self.packed else "alone" if self.alone else "padded"
        path = str(Path(place.graphs) / f"{name}.onnx")
        self._session = onnxruntime.InferenceSession(path, options(setting))
        self._names = [i.name for i in self._session.get_inputs()]

    def answer(self, items: Sequence[Item]) -> list[Item]:
        """Of one batch."""
        found = self._answer([item.rows for item in items])
        return [Item(rows, item.json) for rows, item in zip(found, items, strict=True)]

    def _answer(self, sequences: Sequence[Array]) -> list[Array]:
        if self.packed:
            ends = np.cumsum([len(x) for x in sequences])[:-1]
            return np.split(self._run(*blocked(sequences)), ends)
        if self.alone:
            return [self._run(x) for x in sequences]
        found = self._run(*padded(sequences))
        return [rows[: len(x)] for rows, x in zip(found, sequences, strict=True)]

    def _run(self, *values: Array) -> Array:
        feeds = dict(zip(self._names, values, strict=True))
        return np.asarray(self._session.run(None, feeds)[0])


def options(setting: Setting) -> Any:
    """Threads as set, and no memory pattern: shapes vary."""
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = setting.threads
    chosen.inter_op_num_threads = 1
    chosen.enable_mem_pattern = False
    chosen.log_severity_level = 3
    chosen.add_session_config_entry("session.intra_op.allow_spinning", str(int(setting.spin)))
    return chosen
