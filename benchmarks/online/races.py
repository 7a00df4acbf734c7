"""Contenders in turn, round by round, each round in another order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.online.cells import Cell
from benchmarks.online.contender import BINARY, JSON, Contender
from benchmarks.online.load import Loader
from benchmarks.online.traffic import LOGNORMAL, WIDTH, Limit, Traffic
from benchmarks.peers.client import Connection

Found = dict[str, list[dict[str, Any]]]  # contender -> what was measured, round by round
LIMIT = "in process"
LONG = 131_072
SETTLE_SECONDS = 0.3


def race(
    loader: Loader,
    cell: Cell,
    contenders: Sequence[Contender],
    rounds: int,
    seconds: int,
    limit: Limit | None = None,
) -> Found:
    """Closed loops; all servers run throughout. limit: our session in this process runs too."""
    mix, wire = cell
    with ExitStack() as stack:
        servers = {c.name: stack.enter_context(c.server()) for c in contenders}
        found: Found = {c.name: [] for c in contenders}
        for turn in tqdm(range(rounds), f"{mix}, {wire}", unit="round"):
            for c in shuffled(contenders, turn):
                time.sleep(SETTLE_SECONDS)
                found[c.name].append(loader.closed(c, servers[c.name], wire, mix, seconds))
            if limit is not None:
                found.setdefault(LIMIT, []).append(in_process(limit, loader.traffics[mix]))
    return found


def in_process(limit: Limit, traffic: Traffic) -> dict[str, Any]:
    """The whole mix once, packed, without a server."""
    begun = time.perf_counter()
    limit.answers(traffic)
    return {"tokens_per_second": round(traffic.lengths.sum() / (time.perf_counter() - begun))}


def tour(
    loader: Loader,
    cells: Sequence[Cell],
    contenders: Sequence[Contender],
    rounds: int,
    seconds: int,
) -> dict[Cell, Found]:
    """Closed loops over several cells; a server runs only while it is its turn."""
    found: dict[Cell, Found] = {cell: {c.name: [] for c in contenders} for cell in cells}
    for turn in tqdm(range(rounds), "all mixes", unit="round"):
        for c in shuffled(contenders, turn):
            with c.server() as server:
                for mix, wire in cells:
                    measured = loader.closed(c, server, wire, mix, seconds)
                    found[mix, wire][c.name].append(measured)
    return found


def open_race(
    loader: Loader, contenders: Sequence[Contender], rate: float, rounds: int, seconds: float
) -> Found:
    """Open loops of the lognormal mix in binary; in a round all get the same arrivals."""
    with ExitStack() as stack:
        ports = {c.name: stack.enter_context(c.server()).port for c in contenders}
        found: Found = {c.name: [] for c in contenders}
        for turn in tqdm(range(rounds), f"open loop, {rate:.0f}/s", unit="round"):
            for c in shuffled(contenders, turn):
                time.sleep(SETTLE_SECONDS)
                own = loader.open(c, ports[c.name], BINARY, LOGNORMAL, rate, seconds, seed=turn)
                found[c.name].append(own)
    return found


def one_long(limit: Limit, rounds: int) -> dict[str, list[float]]:
    """Seconds for one long sequence: our session in this process, and our server on two wires."""
    x = np.random.default_rng(LONG).normal(size=(LONG, WIDTH)).astype(np.float32)
    ours = Contender()
    sent = {wire: ours.message(wire, x) for wire in (BINARY, JSON)}
    wanted = limit.answer(x)
    found: dict[str, list[float]] = {LIMIT: [], BINARY: [], JSON: []}
    with ours.server() as server, Connection(server.port) as connection:
        for wire, message in sent.items():
            assert ours.right(message.decode(connection.send(message.prepared)), wanted), wire
        for _ in tqdm(range(rounds), f"{LONG:,} tokens", unit="round"):
            begun = time.perf_counter()
            limit.answer(x)
            found[LIMIT].append(time.perf_counter() - begun)
            for wire, message in sent.items():
                begun = time.perf_counter()
                connection.send(message.prepared)
                found[wire].append(time.perf_counter() - begun)
    return found


def shuffled(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """Another order every round, the same in every run."""
    order = np.random.default_rng(turn).permutation(len(contenders))
    return [contenders[i] for i in order]


def figures(found: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> dict[str, list[float]]:
    """One figure of each contender that has it, round by round."""
    return {
        who: [own[name] for own in rounds] for who, rounds in found.items() if name in rounds[0]
    }
