"""What was measured of faults: printed at the end, as a table, and kept in build/faults.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ROOT

Measured = Callable[[str, str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Call it with a row's name and what was measured."""
    return lambda row, what: record_property("measured", (row, what))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [f"| {row} | {what} |" for row, what in _measured(terminalreporter)]
    if rows:
        page = "\n".join(["| fault | measured |", "| --- | --- |", *sorted(rows), ""])
        terminalreporter.write(f"\n{page}")
        (ROOT / "build").mkdir(exist_ok=True)
        (ROOT / "build" / "faults.md").write_text(page)


def _measured(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for report in [*reporter.stats.get("passed", []), *reporter.stats.get("failed", [])]:
        for name, value in getattr(report, "user_properties", ()):
            if name == "measured" and report.when == "call":
                yield value
