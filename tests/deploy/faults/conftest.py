"""What was measured of faults: printed at the end, as a table, and kept in build/faults.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.conftest import ROOT

FILE = ROOT / "build" / "faults.md"
Measured = Callable[[str, str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Call it with a row's name and what was measured."""
    return lambda row, what: record_property("measured", (row, what))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = dict(_measured(terminalreporter))
    if found:
        terminalreporter.write(f"\n{_page(found)}")
    if found and "FAULT_REQUESTS" in os.environ:  # those of the short run are nobody's figures
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(_page(_kept() | found))


def _page(rows: Mapping[str, str]) -> str:
    lines = [f"| {row} | {what} |" for row, what in sorted(rows.items())]
    return "\n".join(["| fault | measured |", "| --- | --- |", *lines, ""])


def _kept() -> dict[str, str]:
    """What runs before this one have measured."""
    lines = FILE.read_text().splitlines()[2:] if FILE.exists() else []
    cells = (line.strip("| ").split(" | ", 1) for line in lines)
    return {cell[0]: cell[1] for cell in cells}


def _measured(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for report in [*reporter.stats.get("passed", []), *reporter.stats.get("failed", [])]:
        for name, value in getattr(report, "user_properties", ()):
            if name == "measured" and report.when == "call":
                yield value
