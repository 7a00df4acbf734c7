"""Holds sessions on an NVIDIA GPU to what they promise, and measures them.

    python -m benchmarks.gpu_check --prepare               elsewhere, first: -> build/gpu
    python -m benchmarks.gpu_check [--only parity,throughput] [--seconds 90]

Needs numpy, torch, pydantic, tqdm and onnxruntime-gpu there, and nothing that trains or exports.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_check_bundles import CHECKS, Cell, Row, bundles, cells
from service.device import PROVIDERS
from service.errors import StartupError
from service.runtime import onnxruntime

GPU = Path("build/gpu")
FOLDERS = [GPU / "bundles", Path("deploy/bundles"), Path("build/bundles")]
RESULT = Path("benchmarks/results/gpu.json")
NOT_OK, NO_GPU = 1, 2


def missing() -> str | None:
    """Why nothing can be checked here; torch goes first, it brings CUDA's libraries."""
    try:
        import torch
    except ModuleNotFoundError:
        return "torch is not installed"
    if not torch.cuda.is_available():
        return "torch finds no GPU"
    try:
        found = onnxruntime().get_available_providers()
    except StartupError as error:
        return str(error)
    return None if PROVIDERS["cuda"] in found else f"onnxruntime has only {', '.join(found)}"


def checks(device: str) -> dict[str, Callable[[], Iterator[Cell]]]:
    """Every check by name: its cells, a name and what makes its row each."""
    from benchmarks import gpu_check_speed

    among = bundles(FOLDERS)
    found: dict[str, Callable[[], Iterator[Cell]]] = {
        name: partial(cells, of, among, device) for name, of in CHECKS.items()
    }
    return found | {"throughput": partial(gpu_check_speed.cells, GPU, device)}


def checked(name: str, parts: Iterator[Cell], seconds: float) -> dict[str, Row]:
    """The rows of a check; no cell begins once its time is up."""
    rows: dict[str, Row] = {}
    until = time.monotonic() + seconds
    for part, cell in parts:
        if time.monotonic() > until:
            rows[part] = {"ok": False, "error": f"not reached in {seconds:.0f} s"}
            continue
        started = time.monotonic()
        try:
            rows[part] = cell()
        except Exception as error:  # whatever one cell dies of is its row
            rows[part] = {"ok": False, "error": f"{type(error).__name__}: {error}"[:1000]}
        rows[part]["seconds"] = round(time.monotonic() - started, 1)
        print(f"{name}, {part}: {json.dumps(rows[part])}", flush=True)
    return rows


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    return {
        "gpu": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime().__version__,
    }


def page(result: dict[str, Any]) -> str:
    """The result as a table per check."""
    about = ", ".join(f"{k} {v}" for k, v in result["machine"].items())
    lines = ["# Sessions on a GPU", "", f"{about}. Made by `make gpu-check`.", ""]
    for name, rows in result["checks"].items():
        good = sum(row["ok"] for row in rows.values())
        lines += [f"## {name}: {good} of {len(rows)}", "", "| | | |", "| --- | --- | --- |"]
        for part, row in rows.items():
            rest = "; ".join(f"{k} {_short(v)}" for k, v in row.items() if k != "ok")
            lines.append(f"| {part} | {'ok' if row['ok'] else '**not ok**'} | {rest} |")
        lines.append("")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2g}" if abs(value) < 1 else f"{value:g}"
    if isinstance(value, list):
        return f"{value[0]} .. {value[-1]}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    return str(value).replace("|", "/").replace("\n", " ")


def write(result: dict[str, Any], out: Path) -> None:
    """The JSON and, beside it, the page."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    out.with_suffix(".md").write_text(page(result))


def run(args: argparse.Namespace) -> int:
    """Run the checks that were asked for; what others found on the same machine is kept."""
    every, here = checks(args.device), machine()
    chosen = args.only.split(",") if args.only else list(every)
    if unknown := set(chosen) - every.keys():
        print(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(every)}")
        return NOT_OK
    result: dict[str, Any] = {"machine": here, "checks": {}}
    if args.out.exists() and (before := json.loads(args.out.read_text()))["machine"] == here:
        result = before
    for name in chosen:
        result["checks"][name] = checked(name, every[name](), args.seconds)
        write(result, args.out)
    rows = [row for name in chosen for row in result["checks"][name].values()]
    print(f"{sum(row['ok'] for row in rows)} of {len(rows)} are as they should be; {args.out}")
    return 0 if all(row["ok"] for row in rows) else NOT_OK


def main() -> int:
    """0: all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepare", action="store_true", help="write build/gpu, on any machine")
    parser.add_argument("--only", metavar="CHECK,...", help="these checks")
    parser.add_argument("--seconds", type=float, default=90, help="of each check")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.prepare:
        from benchmarks.gpu_check_prepare import prepare

        prepare(GPU)
        return 0
    if why := missing():
        print(f"gpu-check needs an NVIDIA GPU and onnxruntime-gpu: {why}", file=sys.stderr)
        return NO_GPU
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
