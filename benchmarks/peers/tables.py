"""The results of `benchmarks.wires` for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.peers.contenders import ORJSON, OURS, PYDANTIC, TRITON

TARGET_MS = 150
JSON_WIRES = ("/v1 JSON", "/v1 JSON, 17 digits", "OIP JSON")
WIRES = ("/v1 JSON", "OIP JSON", "/v1 Arrow", "OIP binary")
PEERS = (PYDANTIC, ORJSON, f"{TRITON}, OIP JSON", f"{TRITON}, OIP binary")

HOW = """\
One sequence of 8 floats a token, as many floats in the answer. One client on one connection over
loopback sends bytes that it has made before and receives all of the answer; the time from the first
to the last byte, less what the server's statistics count for its model (`compute_infer`, ours and
Triton's: our packing is in it, and the way to Triton's Python process). The peers' models answer
their input; ours is the reference model, so that its server shares the processors with it.
Contenders take turns, in another order every round, in bursts of requests; all of ours answer alike
to the last bit, and the peers what they were sent. FastAPI runs under uvicorn with uvloop and
httptools and writes no log; ours writes its line per request. Numbers are written as shortly as a
float32 can be; "17 digits" are those that Python writes for a list."""

STALLS = """\
Longest wait for `GET /v2/health/live`, asked on and on over another connection while one request
of {tokens} tokens is served: medians of {rounds} rounds, and the longest of all. The peers' models
take no time; ours occupies every processor meanwhile, and the binary wires show what that alone
does."""


def page(result: Mapping[str, Any]) -> str:
    """All of it in markdown."""
    sizes = result["tokens"]
    largest = max(sizes, key=int)
    parts = [
        "# Server time besides the model",
        _about(result),
        HOW,
        *_target(sizes, largest),
        "## Milliseconds besides the model",
        f"Median (quartiles); megabytes of request and answer at {int(largest):,} tokens.",
        _milliseconds(sizes, largest),
        f"## Where ours goes, {int(largest):,} tokens",
        "Milliseconds, medians. The rest: receiving, inflating, routing, other threads, sending.",
        _parts(sizes[largest]["contenders"]),
        "## Against the peers",
        "Peer's time over ours (median, least-most of the rounds); below 1 ours takes longer.",
        *(text for tokens in sizes for text in _ratios(tokens, sizes[tokens])),
        "## The longest wait of others",
        *_stalls(result.get("stalls"), largest),
    ]
    return "\n\n".join(parts) + "\n"


def _about(result: Mapping[str, Any]) -> str:
    own = result["machine"]
    named = ("python", "fastapi", "pydantic", "orjson", "uvicorn", "onnxruntime")
    versions = ", ".join(f"{name} {own[name]}" for name in named)
    load = f"load {result['load_before']} before"
    return (
        f"{own['date']}, commit {own['commit']}; {own['cpu']}, {own['cpus']} CPUs, {load}.\n"
        f"{versions}; Triton: {result['triton']}."
    )


def _target(sizes: Mapping[str, Any], largest: str) -> list[str]:
    found = sizes[largest]["contenders"]
    measured = {wire: found[f"{OURS}, {wire}"]["besides_model_ms"]["median"] for wire in JSON_WIRES}
    met = "Met" if max(measured.values()) <= TARGET_MS else "Missed"
    listed = ", ".join(f"{wire}: {value:.0f} ms" for wire, value in measured.items())
    wanted = f"at most {TARGET_MS} ms besides the model for 100,000 tokens in JSON, both ways"
    return [
        "## The target",
        f"Wanted: {wanted}. Measured at {int(largest):,}: {listed}. **{met}.**",
    ]


def _milliseconds(sizes: Mapping[str, Any], largest: str) -> str:
    head = ["", *(f"{int(tokens):,}" for tokens in sizes), "request MB", "answer MB"]
    rows = []
    for name, own in sizes[largest]["contenders"].items():
        times = [_spread(sizes[n]["contenders"][name]["besides_model_ms"]) for n in sizes]
        megabytes = [f"{own[f'{what}_bytes'] / 1e6:.2f}" for what in ("request", "answer")]
        rows.append([name, *times, *megabytes])
    return _table(head, rows)


def _spread(own: Mapping[str, float]) -> str:
    low, high = (_ms(own[f"{end}_quartile"]) for end in ("lower", "upper"))
    return f"{_ms(own['median'])} ({low}-{high})"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 5 else f"{value:.2f}"


def _parts(contenders: Mapping[str, Any]) -> str:
    rows = []
    for name, own in contenders.items():
        if name.startswith(OURS):
            besides, spent = own["besides_model_ms"]["median"], [own["decode_ms"], own["encode_ms"]]
            shares = [f"{_ms(part)} ({part / besides:.0%})" for part in spent]
            rest = _ms(max(0.0, besides - sum(spent)))
            rows.append([name, *shares, rest, _ms(besides), _ms(own["model_ms"])])
    return _table(["", "decode", "encode", "the rest", "besides the model", "the model"], rows)


def _ratios(tokens: str, size: Mapping[str, Any]) -> list[str]:
    ratios = size["times_faster_than"]
    peers = [peer for peer in PEERS if peer in ratios[f"{OURS}, {WIRES[0]}"]]
    rows = [[wire, *(_times(ratios[f"{OURS}, {wire}"][peer]) for peer in peers)] for wire in WIRES]
    return [f"### {int(tokens):,} tokens", _table(["", *peers], rows)]


def _times(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})"


def _stalls(found: Mapping[str, Any] | None, largest: str) -> list[str]:
    if found is None:
        return ["Not measured."]
    rows = [[n, _ms(own["median_ms"]), _ms(own["longest_ms"])] for n, own in found["waits"].items()]
    return [
        STALLS.format(tokens=f"{int(largest):,}", rounds=found["rounds"]),
        _table(["while it serves", "median, ms", "longest, ms"], rows),
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
