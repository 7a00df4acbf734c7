"""What clients can make a server hold at most: the largest bodies there may be, many at a time.

python -m benchmarks.memory --settings max_body_bytes=33554432     one run per harm, in a table
Knows nothing of speed. What spools hold comes on top where their folder is in memory (tmpfs).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from benchmarks.process import ServerProcess

MIB = 2**20
DIGITS, POLYNOMIAL = "/v1/models/digits/predict", "/v2/models/polynomial/infer"
STREAM = "/v1/models/polynomial/stream"
READS = "/v1/models/polynomial/predict"  # what is answered is as large as what is asked
UNREAD = 2**14  # bytes of an answer that somebody takes who does not read


@dataclass(frozen=True, slots=True)
class Harm:
    """One request that so many clients repeat; 0: as many as are let in at a time. body: given the
    largest that there may be. reads: whether they read what is answered.
    """

    path: str
    body: Callable[[int], bytes]
    clients: int = 0
    media: str = "application/json"
    encoding: str = "identity"
    reads: bool = True


def filled(head: bytes, unit: bytes, tail: bytes, size: int) -> bytes:
    """head, then unit with commas between, then tail: as large as allowed."""
    count = (size - len(head) - len(tail)) // (len(unit) + 1)
    return head + b",".join([unit] * count) + tail


def at_most(head: bytes, unit: bytes, tail: bytes, count: int, size: int) -> bytes:
    """The same, but no more than so many."""
    most = min(size, len(head) + len(tail) + count * (len(unit) + 1))
    return filled(head, unit, tail, most)


INFER = b'{"inputs": [{"name": "x", "shape": [1000000, 4], "datatype": "FP32", "data": ['
OPEN, CLOSE, TOKENS = b'{"sequences": [[', b"]]}", 1_000_000
HARMS = {
    "numbers": Harm(DIGITS, lambda size: filled(OPEN, b"1", CLOSE, size)),
    "empty lists": Harm(DIGITS, lambda size: filled(OPEN, b"[]", CLOSE, size)),
    "strings": Harm(DIGITS, lambda size: filled(OPEN, b'""', CLOSE, size)),
    "tensor data": Harm(POLYNOMIAL, lambda size: filled(INFER, b"1", b"]}]}", size)),
    "inflated": Harm(
        DIGITS,
        lambda size: gzip.compress(filled(OPEN, b"1", CLOSE, size), 9),
        clients=64,
        encoding="gzip",
    ),
    "a million tokens": Harm(
        DIGITS, lambda size: at_most(OPEN, b"[3.25,4.75,0.125]", CLOSE, TOKENS, size)
    ),
    "a million answers": Harm(READS, lambda size: at_most(OPEN, b"[1,1,1,1]", CLOSE, TOKENS, size)),
    "answers unread": Harm(
        READS, lambda size: at_most(OPEN, b"[1,1,1,1]", CLOSE, 250_000, size), 300, reads=False
    ),
    "lines of a stream": Harm(
        STREAM,
        lambda size: at_most(b"[", b"[0.1,0.1,0.1,0.123]", b"]\n", 750_000, 15 * MIB) * 2,
        clients=64,
        media="application/x-ndjson",
    ),
}


def peak(pid: int) -> int:
    """Bytes resident at most since it was last forgotten."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def _client(port: int, head: bytes, body: bytes, until: float, found: Counter[str]) -> None:
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(head + body)
                async with asyncio.timeout(90):
                    await writer.drain()
                    line = await reader.readline()
                    found[line.decode("latin-1")[9:12] or "closed"] += 1
                    await reader.read(2**31)
            finally:
                writer.transport.abort()
        except (OSError, TimeoutError) as error:
            found[type(error).__name__] += 1


async def _unread(
    port: int, head: bytes, body: bytes, until: float, found: Counter[str], turn: asyncio.Semaphore
) -> None:
    """Ask in turn, and take nothing of the answer, for as long as the others ask."""
    async with turn:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=UNREAD)
        writer.write(head + body)
        line = await reader.readline()
    try:
        found[line.decode("latin-1")[9:12] or "closed"] += 1
        await asyncio.sleep(max(0.0, until - time.monotonic()))
    except (OSError, TimeoutError) as error:
        found[type(error).__name__] += 1
    finally:
        writer.transport.abort()


async def _all(port: int, harm: Harm, size: int, most: int, seconds: float) -> Counter[str]:
    """size: of the largest body; most: bytes in flight."""
    body, found = harm.body(size), Counter[str]()
    clients = harm.clients or max(1, most // len(body))
    head = (
        f"POST {harm.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: {harm.media}\r\nContent-Encoding: {harm.encoding}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    until, turn = time.monotonic() + seconds, asyncio.Semaphore(4)
    one = _client if harm.reads else partial(_unread, turn=turn)
    await asyncio.gather(
        *(one(port, head, body, until, found) for _ in range(clients)), return_exceptions=True
    )
    return found


def measured(harm: Harm, settings: dict[str, str], seconds: float, models: Path) -> dict[str, int]:
    """MiB at start and at most, and how many got which answer."""
    size = int(settings.get("max_body_bytes", 64 * MIB))
    most = int(settings.get("max_in_flight_bytes", 512 * MIB))
    with ServerProcess(models, grace_seconds=0, log_level="error", **settings) as server:
        pid, before = server.process.pid, peak(server.process.pid)
        answers = asyncio.run(_all(server.port, harm, size, most, seconds))
        alive = httpx.get(f"{server.url}/v2/health/live", timeout=30).status_code
        found = {"start": before // MIB, "peak": peak(pid) // MIB, "alive": alive}
    return found | dict(sorted(answers.items()))


def main() -> None:
    """Print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--harms", nargs="*", default=[*HARMS])
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--models", type=Path, default=Path("deploy/bundles"))
    args = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in args.settings)
    for name in args.harms:
        print(json.dumps({name: measured(HARMS[name], settings, args.seconds, args.models)}))


if __name__ == "__main__":
    main()
