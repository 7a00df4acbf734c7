"""One sequence of any length as a stream: time per token, memory, and what it does to others.

    python -m benchmarks.reference && python -m benchmarks.stream [--tokens 100000000]

The client sends bytes that it has made before, in Arrow both ways, over loopback, and shares the
processors with the server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from benchmarks.online.arrivals import poisson, send
from benchmarks.peers.summary import machine
from benchmarks.process import ServerProcess
from benchmarks.reference import BUNDLES
from benchmarks.tree import resident_bytes
from benchmarks.upload import ARROW, Upload, chunk
from service.cpus import available_cpus
from service.pack import Array

RESULT = Path("benchmarks/results/stream.json")
MODELS = ("reference-pooled", "reference")
LENGTHS = (2**14, 2**16, 2**18, 2**20, 2**22)
LONG, SHORT, WIDTH = 2**22, 32, 8
BATCH = 2**14  # tokens in a record batch
PREDICTED = 2**19  # most tokens of a prediction to compare with
ROUNDS = 5
BURST, CONNECTIONS = 2000, 16  # requests at once, to find out how many a second there can be
LOAD, MOST = 0.25, 20_000  # of that; and most requests of one run
READ = 2**20
TARGETS = {"length": 1.2, "memory_mb": 300, "p99": 4.0, "slowed": 1.5}


def table(rows: Array) -> tuple[bytes, bytes]:
    """An Arrow stream's schema, and a batch of one piece of these rows (T, width)."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    lists = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), vectors)
    batch = pa.record_batch({"x": lists})
    return batch.schema.serialize().to_pybytes(), batch.serialize().to_pybytes()


def draw(tokens: int) -> Array:
    """(tokens, 8) float32."""
    return np.random.default_rng(tokens).normal(size=(tokens, WIDTH)).astype(np.float32)


def stream(port: int, model: str, tokens: int) -> float:
    """Seconds from the first byte sent to the last received."""
    schema, batch = table(draw(BATCH))
    schema, batch = chunk(schema), chunk(batch)
    begun = time.perf_counter()
    with Upload(port, model, ARROW, ARROW) as upload:
        upload.write(schema)
        for _ in range(tokens // BATCH):
            upload.write(batch)
        answer = upload.end()
        assert answer.status == 200, answer.read()
        while answer.read(READ):
            pass
    return time.perf_counter() - begun


def predict(port: int, model: str, tokens: int) -> float:
    """The same as one prediction."""
    prepared = request(model, tokens)
    record = send(port, [prepared], np.zeros(1), keep_every=1, connections=1)
    return float(record.done[0])


def request(model: str, tokens: int) -> bytes:
    """A prediction in Arrow both ways."""
    body = b"".join(table(draw(tokens)))
    head = f"POST /v1/models/{model}/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {ARROW}\r\n"
    return f"{head}Accept: {ARROW}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def times(port: int, rounds: int) -> dict[str, Any]:
    """Microseconds per token by model and length, medians of rounds in changing order."""
    every = [(model, tokens) for model in MODELS for tokens in LENGTHS]
    found: dict[tuple[str, int, str], list[float]] = {}
    order = np.random.default_rng(0)
    for _ in tqdm(range(rounds), "lengths", unit="round"):
        for i in order.permutation(len(every)):
            model, tokens = every[i]
            again = max(1, 2**18 // tokens)  # short ones more often
            own = [stream(port, model, tokens) for _ in range(again)]
            found.setdefault((model, tokens, "stream"), []).append(statistics.median(own))
            if tokens <= PREDICTED:
                own = [predict(port, model, tokens) for _ in range(again)]
                found.setdefault((model, tokens, "predict"), []).append(statistics.median(own))
    return {model: _by_length(found, model) for model in MODELS}


def _by_length(found: dict[tuple[str, int, str], list[float]], model: str) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for (name, tokens, how), seconds in sorted(found.items()):
        if name == model:
            each = [s / tokens * 1e6 for s in seconds]
            row = {"us": statistics.median(each), "least": min(each), "most": max(each)}
            rows.setdefault(str(tokens), {})[how] = {k: round(v, 3) for k, v in row.items()}
    return rows


def memory(port: int, process: ServerProcess, tokens: int) -> dict[str, Any]:
    """How much more the server holds while so many tokens go through, in MB."""
    over, most = threading.Event(), [0.0]

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], resident(process))

    stream(port, MODELS[0], 2**18)
    before, thread = resident(process), threading.Thread(target=watch)
    thread.start()
    seconds = stream(port, MODELS[0], tokens)
    over.set()
    thread.join()
    grown = {"before_mb": round(before, 1), "growth_mb": round(most[0] - before, 1)}
    return {"tokens": tokens // BATCH * BATCH, "seconds": round(seconds, 1), **grown}


def resident(process: ServerProcess) -> float:
    """Megabytes."""
    return resident_bytes(process.process.pid) / 1e6


def others(port: int, model: str) -> dict[str, Any]:
    """Short requests at a part of what can be served, without and with a long stream beside."""
    prepared = [request(model, SHORT)]
    burst = send(port, prepared, np.zeros(BURST), keep_every=BURST, connections=CONNECTIONS)
    rate = LOAD * BURST / float(burst.done.max())
    alone = stream(port, model, LONG)
    calm = send(port, prepared, poisson(rate, 10, seed=1), keep_every=BURST)
    due = poisson(rate, min(2 * alone, MOST / rate), seed=2)
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(stream, port, model, LONG)
        beside = send(port, prepared, due, keep_every=BURST)
        seconds = long.result()
    during = beside.latency[beside.due < seconds]
    p99 = [float(np.percentile(some, 99)) * 1e3 for some in (calm.latency, during)]
    p50 = [float(np.percentile(some, 50)) * 1e3 for some in (calm.latency, during)]
    return {
        "requests_per_second": round(rate),
        "requests": [len(calm.latency), len(during)],
        "p50_ms": [round(ms, 2) for ms in p50],
        "p99_ms": [round(ms, 2) for ms in p99],
        "p99_times": round(p99[1] / p99[0], 2),
        "long_seconds": [round(alone, 2), round(seconds, 2)],
        "long_times": round(seconds / alone, 2),
    }


def page(result: dict[str, Any]) -> str:
    """The results for people."""
    return "\n".join([*_head(result), *_times(result), *_memory(result), *_others(result)]) + "\n"


def _head(result: dict[str, Any]) -> Iterator[str]:
    own = result["machine"]
    yield "# A sequence of any length, streamed\n"
    yield f"{own['date']}, commit {own['commit']}; {own['cpu']}, {own['cpus']} CPUs, "
    yield f"load {result['load_before']} before; onnxruntime {own['onnxruntime']}.\n"
    yield "One sequence of 8 floats a token to `POST /v1/models/NAME/stream` in Arrow, in batches"
    yield f"of {BATCH:,} tokens. `reference-pooled` takes one pass; `reference` two, and answers 8"
    yield "floats a token. The client shares the processors with the server.\n"


def _times(result: dict[str, Any]) -> Iterator[str]:
    yield "## Microseconds per token\n\nMedians, least and most of the rounds; `/predict` beside.\n"
    yield "| model | tokens | stream | | predict |\n| --- | --- | --- | --- | --- |"
    for model, rows in result["times"].items():
        for tokens, row in rows.items():
            own, other = row["stream"], row.get("predict")
            spread = f"{own['least']:.2f} to {own['most']:.2f}"
            beside = f"{other['us']:.2f}" if other else ""
            yield f"| {model} | {int(tokens):,} | {own['us']:.2f} | {spread} | {beside} |"
        us = [row["stream"]["us"] for row in rows.values()]
        said = _verdict(max(us) / min(us), TARGETS["length"], "times the least at most")
        yield f"| | | {said} | | |"


def _memory(result: dict[str, Any]) -> Iterator[str]:
    own = result["memory"]
    said = _verdict(own["growth_mb"], TARGETS["memory_mb"], "MB")
    yield f"\n## Memory\n\n{own['tokens']:,} tokens through `{MODELS[0]}` in {own['seconds']} s:"
    yield f"the server held {own['before_mb']} MB before, and {said} more at most."


def _others(result: dict[str, Any]) -> Iterator[str]:
    yield f"\n## Requests of {SHORT} tokens beside {LONG:,} tokens\n"
    yield f"Sent at random times, at {LOAD:.0%} of what can be served.\n"
    yield "| model | a second | p50 ms | p99 ms | p99, times | the long one, s | slowed, times |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for model, own in result["others"].items():
        p50, p99, long = (_both(own[name]) for name in ("p50_ms", "p99_ms", "long_seconds"))
        times, slowed = (
            _verdict(own[name], TARGETS[target], "")
            for name, target in (("p99_times", "p99"), ("long_times", "slowed"))
        )
        rate = own["requests_per_second"]
        yield f"| {model} | {rate} | {p50} | {p99} | {times} | {long} | {slowed} |"


def _both(values: Sequence[float]) -> str:
    return f"{values[0]} -> {values[1]}"


def _verdict(found: float, target: float, what: str) -> str:
    met = "met" if found <= target else "missed"
    return f"{found:.2f} {what}".strip() + f" (wanted {target:g}: {met})"


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--tokens", type=int, default=10_000_000, help="to watch the memory of")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    with ServerProcess(BUNDLES, workers=available_cpus(), grace_seconds=0) as process:
        result["times"] = times(process.port, args.rounds)
        result["others"] = {model: others(process.port, model) for model in MODELS}
        result["memory"] = memory(process.port, process, args.tokens)
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    args.out.with_suffix(".md").write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
