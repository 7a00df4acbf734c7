"""Draws the results of `benchmarks.online`: requests a second, ours and the peers'."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.online.contender import OURS

COLOURS = {"ours": "#2a6f97", "best": "#a9a9a9", "usual": "#d1495b", "packed": "#e9c46a"}


def draw(result: Mapping[str, Any], path: Path) -> None:
    """One panel a mix, binary: ours, the best single settings, experts' and the usual ones."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = result["measured"]["all mixes"]
    figure, panels = plt.subplots(1, len(found), figsize=(13, 3.6), sharey=True, layout="tight")
    for axes, (mix, own) in zip(panels, found.items(), strict=True):
        names = list(reversed(own))
        rates = [median(own[name]) for name in names]
        bars = axes.barh(names, rates, color=[COLOURS[kind(name)] for name in names])
        axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=2)
        axes.set_title(f"{mix}, requests/s", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.15)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def kind(name: str) -> str:
    """What a contender's name says of its setting."""
    if name == OURS:
        return "ours"
    return "usual" if "as it comes" in name else "packed" if "packed" in name else "best"


def median(rounds: Sequence[Mapping[str, float]]) -> float:
    """Requests a second."""
    return statistics.median(own["requests_per_second"] for own in rounds)
