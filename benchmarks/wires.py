"""What a server takes besides its model, wire by wire, for ours and for others; over HTTP.

    python -m benchmarks.reference && python -m benchmarks.peers && python -m benchmarks.wires

One client on one connection, over loopback; it sends bytes that it has made before and receives
all of the answer, which it does not parse. What the server counts for its model is taken off.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from benchmarks.peers import triton
from benchmarks.peers.contenders import (
    ORJSON,
    OURS,
    PYDANTIC,
    TRITON,
    Contender,
    Parts,
    check,
    connect,
    messages_of,
)
from benchmarks.peers.process import app
from benchmarks.peers.stall import longest
from benchmarks.peers.summary import machine, stalls_of, summary
from benchmarks.peers.tables import page
from benchmarks.process import ServerProcess
from benchmarks.reference import BUNDLES
from service.pack import Array

RESULT = Path("benchmarks/results/wires.json")
SIZES = {32: (41, 20), 1_000: (31, 10), 100_000: (15, 1)}  # tokens: rounds, requests in each
STALL_ROUNDS = 9


@contextmanager
def servers(bundles: Path) -> Iterator[dict[str, int]]:
    """The ports of ours, with nothing but the reference model, and of FastAPI's."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(bundles / "reference", folder / "reference")
        started = {
            OURS: ServerProcess(folder, grace_seconds=0),
            PYDANTIC: app("with_pydantic"),
            ORJSON: app("with_orjson"),
        }
        yield {name: stack.enter_context(one).port for name, one in started.items()}


@contextmanager
def triton_server() -> Iterator[tuple[dict[str, int], str]]:
    """Triton's port, and its version; none where it does not run, and why."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            server = stack.enter_context(triton.server(folder))
        except (FileNotFoundError, AssertionError) as error:
            print(f"Triton: {error}")
            missing = "it does not start" if triton.installed() else "it is not installed"
            yield {}, f"not measured, {missing}"
            return
        yield {TRITON: server.port}, httpx.get(f"{server.url}/v2").json()["version"]


def draw(tokens: int) -> Array:
    """(tokens, 8) float32."""
    return np.random.default_rng(tokens).normal(size=(tokens, 8)).astype(np.float32)


def alternate(
    contenders: Mapping[str, Contender], rounds: int, requests: int, label: str
) -> dict[str, list[Parts]]:
    """A burst of every contender in every round, each round in another order."""
    order = np.random.default_rng(0)
    names = list(contenders)
    for name in names:
        contenders[name].burst(requests)
    found: dict[str, list[Parts]] = {name: [] for name in names}
    for _ in tqdm(range(rounds), label, unit="round"):
        gc.collect()
        for i in order.permutation(len(names)):
            found[names[i]].append(contenders[names[i]].burst(requests))
    return found


def measure(ports: Mapping[str, int], tokens: int, rounds: int, requests: int) -> dict[str, Any]:
    """One size of sequence on every wire."""
    x = draw(tokens)
    with ExitStack() as stack:
        contenders = connect(ports, x, stack)
        check(contenders, x)
        found = alternate(contenders, rounds, requests, f"{tokens:,} tokens")
        sizes = {
            name: (one.message.body_bytes, len(one.send().body)) for name, one in contenders.items()
        }
    return {"rounds": rounds, "requests_in_each": requests, **summary(found, sizes)}


def stalls(ports: Mapping[str, int], tokens: int, rounds: int) -> dict[str, Any]:
    """The longest wait of others in each round, while nothing and while large requests run."""
    x = draw(tokens)
    asked = {
        (server, name): message
        for server in (OURS, PYDANTIC, ORJSON)
        for name, message in {f"{server}, idle": None, **messages_of(server, x)}.items()
        if "17 digits" not in name and "gzip" not in name
    }
    found: dict[str, list[float]] = {name: [] for _, name in asked}
    for _ in tqdm(range(rounds), "stalls", unit="round"):
        for (server, name), message in asked.items():
            found[name].append(longest(ports[server], message))
    return {"rounds": rounds, "waits": stalls_of(found)}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    with servers(BUNDLES) as own, triton_server() as (others, version):
        ports = own | others
        result["triton"] = version
        result["tokens"] = {
            str(tokens): measure(ports, tokens, *counts) for tokens, counts in SIZES.items()
        }
        result["stalls"] = stalls(ports, max(SIZES), STALL_ROUNDS)
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    args.out.with_suffix(".md").write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
