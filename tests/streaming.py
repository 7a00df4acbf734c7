"""Streams to a real server: what is sent, and what it must not leave behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from benchmarks.process import ServerProcess
from benchmarks.upload import chunk
from service.pack import Array

MIB = 2**20
SHORT = b'{"sequences": [[1, 2, 3]]}'


def batches(rows: Array) -> tuple[bytes, bytes]:
    """An Arrow stream's schema, and a batch of one piece: vectors (T, width) or ids (T,)."""
    kind = pa.from_numpy_dtype(rows.dtype)
    values = pa.array(rows.ravel())
    if rows.ndim == 2:
        kind = pa.list_(kind, rows.shape[1])
        values = pa.FixedSizeListArray.from_arrays(values, rows.shape[1])
    lists = pa.ListArray.from_arrays([0, len(values)], values)
    name = "x" if rows.ndim == 2 else "digits"
    table = pa.record_batch([lists], schema=pa.schema([pa.field(name, pa.list_(kind))]))
    return table.schema.serialize().to_pybytes(), table.serialize().to_pybytes()


def resident(process: ServerProcess) -> int:
    """Bytes of memory that the server holds now."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def spools(process: ServerProcess, folder: Path) -> list[str]:
    """Files in the folder that the server has open, those without a name too."""
    found = []
    for link in Path(f"/proc/{process.process.pid}/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:
            continue
    return [name for name in found if name.startswith(f"{folder}/")]


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for it, for some time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def steps(process: ServerProcess, model: str) -> int:
    """How many steps the model has run."""
    (found,) = httpx.get(f"{process.url}/v2/models/{model}/stats").json()["model_stats"]
    count: int = found["execution_count"]
    return count


def logged(process: ServerProcess, model: str) -> list[dict[str, Any]]:
    """The log's lines of streams to the model."""
    path = f"/v1/models/{model}/stream"
    return [line for line in process.log_lines() if line.get("path") == path]


@contextmanager
def serving(folder: Path, models: Path, **settings: object) -> Iterator[ServerProcess]:
    """A server that keeps in this folder, which is empty in the end."""
    settings = {"grace_seconds": 0, "spool_folder": folder, **settings}
    with ServerProcess(models, **settings) as process:
        yield process
    assert not os.listdir(folder)


def tokens(count: int) -> bytes:
    """So many tokens of `polynomial` as chunks of lines, ten thousand in a line."""
    rows = np.random.default_rng(0).normal(size=(10_000, 4)).astype(np.float32).round(4)
    return chunk(f"{rows.tolist()}\n".encode()) * (count // 10_000)
