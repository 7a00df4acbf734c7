"""Markdown tables, and where an experiment writes its text and picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; floats are shortened to three digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write(path: Path, title: str, *parts: str) -> None:
    """A Markdown page of paragraphs and tables, the picture, and where the numbers come from."""
    picture = f"![{title}]({path.stem}.png)"
    whole = (f"# {title}", *parts, picture, _origin(path.with_suffix(".json")))
    path.write_text("\n\n".join(whole) + "\n")
    print(path.read_text())


def _origin(cells: Path) -> str:
    """The command, what it took and on what."""
    made = json.loads(cells.read_text())
    return (
        f"`{made['command']}`: {len(made['cells'])} cells, {made['seconds']:,.0f} core seconds; "
        f"torch {made['torch']}, {made['machine']}. Every cell: [{cells.name}]({cells.name})."
    )


def figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """A matplotlib figure that needs no screen, and its axes as a flat list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(made)
    axes = made.subplots(rows, columns, squeeze=False)
    return made, list(axes.flat)
