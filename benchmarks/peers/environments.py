"""An environment for each peer of the online benchmarks, under build/peers, and its versions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import triton

ROOT = Path("build/peers")
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "mosec": ("mosec",),
    "litserve": ("litserve",),
    "bentoml": ("bentoml",),
    "ray": ("ray[serve]",),
    "fastapi": ("fastapi", "uvicorn[standard]"),
    "triton": ("nvidia-pytriton",),
}
MAIN = {"ray": "ray", "triton": "nvidia-pytriton"}  # packages whose version is named


def install() -> list[Path]:
    """Make those that are missing or out of date; their folders."""
    return [_install(peer) for peer in PACKAGES]


def installed(peer: str) -> bool:
    """Whether that has been done, with these packages."""
    stamp = _stamp(peer)
    return stamp.exists() and stamp.read_text() == _wanted(peer)


def python(peer: str) -> Path:
    """Its interpreter, by a path that does not depend on the working folder."""
    return (ROOT / peer / "bin" / "python").absolute()


def versions(peer: str) -> dict[str, str]:
    """Of the packages that matter in an environment."""
    names = (MAIN.get(peer, peer), "onnxruntime", "numpy", "orjson")
    command = "import sys, json, importlib.metadata as m; "
    command += "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    found = subprocess.run(
        [python(peer), "-c", command, *names], capture_output=True, text=True, check=True
    )
    listed: dict[str, str] = json.loads(found.stdout)
    return listed


def _install(peer: str) -> Path:
    folder = ROOT / peer
    if not installed(peer):
        if peer == "triton":
            triton.install()
        else:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        packages = _wanted(peer).split()
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *packages], check=True)
        _stamp(peer).write_text(_wanted(peer))
    return folder


def _wanted(peer: str) -> str:
    """Its packages, and onnxruntime of our own version."""
    return " ".join([*PACKAGES[peer], f"onnxruntime=={version('onnxruntime')}", "numpy", "orjson"])


def _stamp(peer: str) -> Path:
    return ROOT / peer / "installed"
