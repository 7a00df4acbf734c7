"""The digits claim from scratch, through the server: train, export, serve, POST the test set.

    python -m benchmarks.accuracy [--seeds 0 1 2]

Every step is the command a user would type; the accuracy counts the labels in the responses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import httpx

from benchmarks.process import SUMSERVE, ServerProcess
from models.tasks.digits import splits

RESULT = Path("benchmarks/results/digits.json")
PER_REQUEST = 30


def served_accuracy(url: str) -> float:
    """Share of the test images whose label comes back from the server."""
    test = splits()["test"]
    hits = 0
    for begin in range(0, len(test.labels), PER_REQUEST):
        part = slice(begin, begin + PER_REQUEST)
        body = {"sequences": [s.tolist() for s in test.sequences[part]]}
        answer = httpx.post(f"{url}/v1/models/digits/predict", json=body).raise_for_status()
        labels = zip(answer.json()["labels"], test.labels[part], strict=True)
        hits += sum(found == str(wanted) for found, wanted in labels)
    return hits / len(test.labels)


def from_scratch(seed: int, folder: Path) -> dict[str, float]:
    """Train, export and serve one seed in an empty folder."""
    checkpoint, bundles = folder / "checkpoint", folder / "bundles"
    train = ["train", "digits", "--seed", str(seed), "--out", str(checkpoint)]
    subprocess.run([SUMSERVE, *train], check=True)
    subprocess.run([SUMSERVE, "export", str(checkpoint), "--out", str(bundles)], check=True)
    metrics = json.loads((checkpoint / "metrics.jsonl").read_text().splitlines()[-1])
    with ServerProcess(bundles, grace_seconds=0) as server:
        accuracy = served_accuracy(server.url)
    return {"seed": seed, "served_accuracy": accuracy, "training_seconds": metrics["seconds"]}


def main() -> None:
    """Run every seed, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    runs = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(from_scratch(seed, Path(folder)))
    mean = sum(run["served_accuracy"] for run in runs) / len(runs)
    result = {"mean_served_accuracy": round(mean, 4), "runs": runs}
    print(json.dumps(result, indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
