"""What a replica answers a second, as it is computed from what it has learned, and as it is.

python -m benchmarks.capacity        one worker, one thread; needs wrk, and build/bundles for some
The formula is deploy/RUNBOOK.md's: HTTP + JSON + a * tokens + b * steps. Knows no other wire.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.peers.summary import machine
from benchmarks.process import ServerProcess

HTTP_MS = 0.35  # of processor time for a request, besides what is in it
JSON_MS_PER_KB = 0.008  # of bodies both ways; both fitted to what is in RESULTS
CLIENTS, WARM, SECONDS = 32, 3, 8
CASES = (("deploy/bundles", "digits", 3), ("build/bundles", "reference", 8))  # and their widths
LENGTHS = (20, 200, 2000)
RESULTS = Path("benchmarks/results/capacity.json")


@dataclass(frozen=True, slots=True)
class Learned:
    """A server's own figures. steps: that were run, of so many requests."""

    us_per_token: float
    ms_per_step: float
    steps: float
    requests: float


def learned(url: str, model: str) -> Learned:
    """What is on its pages."""
    cost = httpx.get(f"{url}/v1/models/{model}").json()["cost"]
    lines = dict(line.rsplit(" ", 1) for line in httpx.get(f"{url}/metrics").text.splitlines())
    steps, requests = (
        float(lines[f'sumserve_{what}_seconds_count{{model="{model}",version="1"}}'])
        for what in ("step", "request")
    )
    return Learned(cost["us_per_token"], cost["ms_per_step"], steps, requests)


def predicted_ms(found: Learned, per_request: float, tokens: int, kilobytes: float) -> float:
    """Processor time of one request of so many tokens."""
    own = found.us_per_token * tokens / 1e3 + found.ms_per_step * per_request
    return HTTP_MS + JSON_MS_PER_KB * kilobytes + own


def rate(url: str, body: str, seconds: int) -> float:
    """Requests a second of a closed loop."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write('wrk.method="POST"\nwrk.headers["Content-Type"]="application/json"\n')
        script.write(f"wrk.body=[==[{body}]==]\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-s", script.name, url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return float(out.split("Requests/sec:")[1].split()[0])


def measured(models: Path, model: str, width: int, tokens: int) -> dict[str, float | str]:
    """One row."""
    rows = np.random.default_rng(0).random((tokens, width)).round(4).tolist()
    body = json.dumps({"sequences": [rows]})
    with ServerProcess(models, threads=1, grace_seconds=0, log_level="warning") as server:
        url = f"{server.url}/v1/models/{model}/predict"
        answer = httpx.post(url, content=body, headers={"Content-Type": "application/json"})
        kilobytes = (len(body) + len(answer.content)) / 1e3
        rate(url, body, WARM)
        before = learned(server.url, model)
        found = rate(url, body, SECONDS)
        after = learned(server.url, model)
    steps = (after.steps - before.steps) / (after.requests - before.requests)
    expected = 1e3 / predicted_ms(after, steps, tokens, kilobytes)
    return {
        "model": model,
        "tokens": tokens,
        "kilobytes": round(kilobytes, 1),
        "us_per_token": after.us_per_token,
        "ms_per_step": after.ms_per_step,
        "steps_per_request": round(steps, 3),
        "expected_per_second": round(expected, 1),
        "measured_per_second": round(found, 1),
        "off_by": round(expected / found - 1, 3),
    }


def main() -> None:
    """Print and keep all rows."""
    rows = []
    for folder, model, width in CASES:
        for tokens in LENGTHS:
            rows.append(measured(Path(folder), model, width, tokens))
            print(json.dumps(rows[-1]), flush=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
