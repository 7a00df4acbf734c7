"""Ways to read 100,000 x 8 floats of JSON into a float32 array: why the parser was chosen.

    python -m benchmarks.json_parsers [--rounds 9]

`stall` is the longest that another thread waited meanwhile: the time the interpreter was held.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import orjson
import pydantic
import simdjson

from benchmarks.timing import alternate
from service.bundle import Bundle
from service.manifest import Manifest
from service.pack import Array
from service.wires.document import Document
from service.wires.json_sequences import JsonSequences
from service.wires.validation import Limits, admit

RESULT = Path("benchmarks/results/json_parsers.json")
SCHEMA = {
    "type": "object",
    "properties": {
        "sequences": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        }
    },
    "required": ["sequences"],
}
LIMITS = Limits(tokens=1_000_000, sequences=1000)


class Body(pydantic.BaseModel):
    """Typed, as FastAPI would read it."""

    sequences: list[list[list[float]]]


def with_json(body: bytes) -> Array:
    """The standard library."""
    return np.array(json.loads(body)["sequences"][0], np.float32)


def with_pydantic(body: bytes) -> Array:
    """Typed models."""
    return np.array(Body.model_validate_json(body).sequences[0], np.float32)


def with_orjson(body: bytes) -> Array:
    """The fastest that makes Python objects."""
    return np.array(orjson.loads(body)["sequences"][0], np.float32)


def with_awkward(body: bytes) -> Array:
    """Straight into ragged buffers, by a schema."""
    found = awkward.from_json(body, schema=SCHEMA)["sequences"][0]
    return np.asarray(awkward.to_numpy(found), np.float32)


def with_simdjson(body: bytes) -> Array:
    """Straight into one flat buffer; nothing is checked."""
    found: Any = simdjson.Parser().parse(body)
    found = found["sequences"]
    return np.frombuffer(found.as_buffer(of_type="d"), np.float64).astype(np.float32).reshape(-1, 8)


def served(body: bytes) -> Array:
    """Ours: simdjson, with every row's width, every number and every limit checked."""
    manifest = model()
    draft = JsonSequences(Document(body, 64), manifest, LIMITS)
    return admit(draft, manifest, LIMITS).columns["x"]


@cache
def model() -> Manifest:
    """The reference model, which reads vectors of 8 numbers."""
    return Bundle.open(Path("build/bundles/reference/1")).manifest


WAYS = (with_json, with_pydantic, with_orjson, with_awkward, with_simdjson, served)


def stall(run: Callable[[], object]) -> float:
    """Seconds that a thread which sleeps half a millisecond at a time was held up at most."""
    gaps, done = [0.0], threading.Event()

    def tick() -> None:
        while not done.is_set():
            before = time.perf_counter()
            time.sleep(0.0005)
            gaps.append(time.perf_counter() - before)

    thread = threading.Thread(target=tick)
    thread.start()
    run()
    done.set()
    thread.join()
    return max(gaps)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    x = np.random.default_rng(0).normal(size=(100_000, 8)).astype(np.float32)
    body = json.dumps({"sequences": [x.tolist()]}).encode()
    runs = {way.__name__: partial(way, body) for way in WAYS}
    timings = alternate(runs, rounds, "json")
    found = {
        name: {
            "milliseconds": round(timings[name].median * 1e3, 1),
            "stall_ms": round(sorted(stall(run) for _ in range(3))[1] * 1e3, 1),
            "exact": bool(np.array_equal(run(), x)),
        }
        for name, run in runs.items()
    }
    print(json.dumps(found, indent=2))
    result = {"body_bytes": len(body), "rounds": rounds, "ways": found}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
