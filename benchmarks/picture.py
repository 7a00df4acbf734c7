"""Draws the README's benchmark picture from benchmarks/results/offline.json."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl

RESULTS = Path("benchmarks/results")
SHOWN = {"packed": "#2a6f97", "one at a time": "#a9a9a9", "padded": "#d1495b"}


def main() -> None:
    """Write offline.png: million tokens per second, by mix and way."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    result = json.loads((RESULTS / "offline.json").read_text())
    mixes = [name for name, value in result.items() if isinstance(value, dict)]
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    for i, (way, colour) in enumerate(SHOWN.items()):
        speeds = [result[m]["tokens"] / result[m]["median_seconds"][way] / 1e6 for m in mixes]
        places = [j + (i - 1) * 0.27 for j in range(len(mixes))]
        bars = axes.bar(places, speeds, 0.25, label=way, color=colour)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(range(len(mixes)), mixes)
    axes.set_ylabel("million tokens / s")
    axes.set_title(f"Sumformer on {result['threads']} CPU cores, same weights", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=3, loc="outside lower center")
    figure.savefig(RESULTS / "offline.png", dpi=120)


if __name__ == "__main__":
    main()
