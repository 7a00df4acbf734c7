"""The results of `benchmarks.online` for people to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.online.sweep import ALL

MIXES, OPEN, LONG = "all mixes", "open loop", "one long"

HOW = """\
The reference model, the same weights everywhere; peers run it as one fused graph in onnxruntime of
our version: sequences alone with batches of one, else padded to the longest with a mask. Peers are
tuned: batches of 1, 4, 8 and 32, onnxruntime's threads 1 and 2, 1 and 2 workers, and the best with
two threads again without spinning ("1 x 2 threads" is one worker with two); orjson for JSON, raw
float32 as binary where they have no wire of their own. Ours has its defaults. "As it comes" is
dynamic batching of up to 32, padded, and all else at the peer's defaults. "Packed" is a peer with a
handler that knows the model's algebra; it is never counted as best peer. Every contender's answers
are compared with the known ones first: ours to the last bit, peers to 1e-4. wrk sends prepared
bodies over 32 connections, lengths unsorted; server and load share the processors, the same for
all. Contenders take turns, in another order every round; ratios are medians over rounds, with the
least and the most."""

OPENED = """\
Requests of the lognormal mix arrive independently (Poisson), {rate:.0f} a second, 70 % of the best
peer's peak, the same arrivals for all. Latency in ms, from when a request was due; medians over
rounds."""


def page(result: Mapping[str, Any]) -> str:
    """All of it in markdown."""
    measured = result["measured"]
    closed = {name: own for name, own in measured.items() if name not in (MIXES, OPEN, LONG)}
    parts = ["# Online", _about(result), HOW, "## What was wanted", _verdicts(result["verdicts"])]
    for name, own in closed.items():
        parts += [f"## {name}, 32 clients", _closed(own)]
    parts += ["## All mixes, binary", "Requests a second, medians.", _mixes(measured[MIXES])]
    opened = measured[OPEN]
    parts += ["## Open loop", OPENED.format(rate=opened["rate"]), _open(opened["rounds"])]
    parts += ["## One sequence", _long(measured[LONG])]
    parts += ["## The sweep", "Each peer's best setting and its requests a second, one short load."]
    parts.append(_sweep(result["sweep"], result["peers"]))
    return "\n\n".join(parts) + "\n"


def _about(result: Mapping[str, Any]) -> str:
    own, seconds = result["machine"], result["seconds"]
    load = f"load {result['load_before']} before"
    peers = ", ".join(f"{next(iter(v))} {next(iter(v.values()))}" for v in result["peers"].values())
    return (
        f"{own['date']}, commit {own['commit']}; {own['cpu']}, {own['cpus']} CPUs, {load}.\n"
        f"onnxruntime {own['onnxruntime']}, python {own['python']}, {result['wrk']}; {peers}.\n"
        f"Loads of {seconds['closed']} s (closed) and {seconds['open']:g} s (open)."
    )


def _verdicts(found: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for own in found:
        bound = f"{'>=' if own['at_least'] else '<='} {own['wanted']:g}"
        ratio = f"{own['ratio']:.2f} ({own['least']:.2f}-{own['most']:.2f})"
        verdict = "met" if own["met"] else "**missed**"
        rows.append([own["row"], own["against"], ratio, bound, verdict])
    return _table(["", "ours over", "ratio", "wanted", ""], rows)


def _closed(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = ["", "requests/s", "tokens/s", "CPU, ms/request", "p50, ms", "p99, ms"]
    names = ("requests_per_second", "tokens_per_second", "cpu_ms_per_request", "p50_ms", "p99_ms")
    return _table(head, [[who, *_figures(rounds, names)] for who, rounds in found.items()])


def _figures(rounds: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    return [_median([own[name] for own in rounds]) if name in rounds[0] else "" for name in names]


def _median(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f}" if middle >= 100 else f"{middle:.{1 if middle >= 10 else 2}f}"


def _mixes(found: Mapping[str, Mapping[str, Any]]) -> str:
    who = next(iter(found.values()))
    name = ["requests_per_second"]
    rows = [[one, *(_figures(mix[one], name)[0] for mix in found.values())] for one in who]
    return _table(["", *found], rows)


def _open(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = ["", "requests", "p50", "p99", "p99.9"]
    parts = {"short": "up to 128 tokens", "long": "longer", "generator_behind": "generator behind"}
    rows = []
    for who, rounds in found.items():
        for part, label in parts.items():
            names = ("requests", "p50_ms", "p99_ms", "p99_9_ms")
            rows.append([f"{who}: {label}", *_figures([own[part] for own in rounds], names)])
    return _table(head, rows)


def _long(found: Mapping[str, Any]) -> str:
    rows = [
        [way, f"{1e3 * statistics.median(own):.0f}", f"{1e3 * min(own):.0f}-{1e3 * max(own):.0f}"]
        for way, own in found["seconds"].items()
    ]
    return _table([f"{found['tokens']:,} tokens", "ms, median", "least-most"], rows)


def _sweep(found: Mapping[str, Any], peers: Iterable[str]) -> str:
    cells = [", ".join(cell) for cell in ALL]
    rows = []
    for peer in peers:
        own = {name: by for name, by in found.items() if name.split(", ")[0] == peer}
        rows.append([peer, *(_best(own, cell) for cell in cells)])
    return _table(["", *cells], rows)


def _best(found: Mapping[str, Any], cell: str) -> str:
    rates = {
        name.partition(", ")[2]: by[cell]["requests_per_second"]
        for name, by in found.items()
        if "requests_per_second" in by.get(cell, {})
    }
    if not rates:
        return "none"
    best = max(rates, key=lambda name: rates[name])
    return f"{rates[best]:,.0f} ({best})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
