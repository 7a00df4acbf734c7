"""A bundle's answers in a process of its own, with another number of threads.

    python -m service.elsewhere BUNDLE THREADS VARIANT < pack.npz > answers.npz

onnxruntime's pool of threads is fixed once per process.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np

from service.bundle import Bundle
from service.errors import BundleError
from service.graph import Options
from service.manifest import FP32
from service.pack import Array, Pack
from service.runtime import Threads
from service.session import Session


def run_elsewhere(folder: Path, threads: int, pack: Pack, variant: str = FP32) -> dict[str, Array]:
    """Output name -> rows, as `Session.run` gives them in a process with so many threads."""
    command = [sys.executable, "-P", "-m", "service.elsewhere", str(folder), str(threads), variant]
    done = subprocess.run(command, input=_written(pack), capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise BundleError(f"{folder}: with {threads} threads: {done.stderr.decode()[-500:]}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        return dict(arrays)


def _written(pack: Pack) -> bytes:
    arrays = {f"column.{name}": values for name, values in pack.columns.items()}
    arrays |= {f"context.{name}": values for name, values in pack.context.items()}
    return _npz({"lengths": pack.lengths, **arrays})


def _read(data: bytes) -> Pack:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        named = dict(arrays)
    columns = {k.removeprefix("column."): v for k, v in named.items() if k.startswith("column.")}
    context = {k.removeprefix("context."): v for k, v in named.items() if k.startswith("context.")}
    return Pack(columns, named["lengths"], context)


def _npz(arrays: dict[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _main(folder: Path, threads: int, variant: str) -> None:
    Threads.start(threads)
    session = Session(Bundle.open(folder), Options(variant=variant))
    sys.stdout.buffer.write(_npz(session.run(_read(sys.stdin.buffer.read()))))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
