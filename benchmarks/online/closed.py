"""Closed loop: wrk, a process of its own, with so many connections that each wait for an answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

WRK = "wrk"
CLIENTS = 32
SCRIPT = Path(__file__).with_name("rotate.lua")


@dataclass(frozen=True, slots=True)
class Closed:
    """What came of it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def load(port: int, bodies: Path, seconds: int) -> Closed:
    """Send them in rotation; RuntimeError when any failed."""
    sizes = ["-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "120s"]
    command = [WRK, *sizes, "-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(bodies)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse(found)


def version() -> str:
    """wrk's own words; it leaves with 1 after them. SystemExit where it is not installed."""
    if shutil.which(WRK) is None:
        raise SystemExit("there is no wrk: apt-get install wrk")
    found = subprocess.run([WRK, "-v"], capture_output=True, text=True, check=False)
    return " ".join((found.stdout + found.stderr).split()[:2])


def parse(output: str) -> Closed:
    """wrk's last line is the script's."""
    found = json.loads(output.strip().splitlines()[-1])
    if found.pop("failed"):
        raise RuntimeError(f"requests failed: {output}")
    return Closed(**found)
