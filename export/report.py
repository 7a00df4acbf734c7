"""The proof as people read it: verification.json, a page, and a picture of errors by length."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from export.verification import LEAST_TOLERANCE, SLACK, Finding
from service.bundle import VERIFICATION
from service.manifest import Variant
from service.runtime import Threads, onnxruntime

PAGE, PICTURE = "verification.md", "verification.png"


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found of one bundle; threads: the numbers that gave the very same answers."""

    name: str
    tolerance: float
    findings: Sequence[Finding]
    threads: tuple[int, ...]
    variants: Sequence[Variant]

    def write(self, folder: Path) -> None:
        """The three files."""
        (folder / VERIFICATION).write_text(json.dumps(self._values(), indent=2) + "\n")
        (folder / PAGE).write_text(self._page())
        self._draw(folder / PICTURE)

    def _values(self) -> dict[str, object]:
        return {
            "reference": "the checkpoint's forward in float64",
            "torch": torch.__version__,
            "onnxruntime": onnxruntime().__version__,
            "processor": platform.machine(),
            "threads": Threads.start(),
            "same_answers_with_threads": list(self.threads),
            "tolerance": self.tolerance,
            "variants": [variant.model_dump() for variant in self.variants],
            "cases": [asdict(finding) for finding in self.findings],
        }

    def _page(self) -> str:
        values = self._values()
        runs = sum(finding.tried for finding in self.findings)
        same = runs - sum(finding.different for finding in self.findings)
        rows = "\n".join(_row(finding) for finding in self.findings)
        return f"""# Verification of {self.name}

Served answers against the checkpoint's own forward in float64: errors are relative to each
sequence's largest output. Allowed are {LEAST_TOLERANCE:.0e}, or {SLACK:g} times the error that the
checkpoint itself makes in float32 with exact sums. Of {runs:,} runs alone, in
other slices and again, {same:,} were the same to the last bit; so were those with
{" and ".join(map(str, self.threads))} threads.

{_HEADER}
{rows}

![Errors by length]({PICTURE})
{self._precisions()}

torch {values["torch"]}, onnxruntime {values["onnxruntime"]}, {values["processor"]}. Again,
without torch: `sumserve verify BUNDLE`.
"""

    def _precisions(self) -> str:
        if not self.variants:
            return ""
        rows = "\n".join(_variant(variant) for variant in self.variants)
        return f"""
Variants in lower precision: the error of usual answers against float32's, the task's figures on
validation data and float32's, and how many times as fast as float32 on this CPU.

| variant | bytes | error | figures | in float32 | speed | forced |
| --- | --- | --- | --- | --- | --- | --- |
{rows}
"""

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        made = Figure((7, 4), layout="constrained")
        axis = made.subplots()
        series = [f for f in self.findings if f.sequences == 1 and f.longest]
        series.sort(key=lambda finding: finding.longest)
        lengths = [finding.longest for finding in series]
        lines: dict[str, dict[int, float]] = {
            "served": dict(zip(lengths, (f.error for f in series), strict=True)),
            "checkpoint in float32": dict(zip(lengths, (f.own_error for f in series), strict=True)),
            **{variant.name: variant.by_length for variant in self.variants},
        }
        for label, errors in lines.items():
            axis.plot(list(errors), [max(e, 1e-9) for e in errors.values()], "o-", label=label)
        axis.axhline(self.tolerance, color="k", ls=":", label="tolerance")
        axis.set(xscale="log", yscale="log", xlabel="tokens", ylabel="relative error")
        axis.set_title(self.name)
        made.legend(loc="outside right upper")
        made.savefig(path, dpi=110)


def _variant(own: Variant) -> str:
    figures = [_figures(found) for found in (own.figures, own.figures_fp32)]
    forced = "yes" if own.forced else "no"
    cells = [own.name, f"{own.size:,}", f"{own.error:.1e}", *figures, f"{own.speed:.2f}", forced]
    return f"| {' | '.join(cells)} |"


def _figures(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items()) or "none"


_COLUMNS = (
    "case",
    "sequences",
    "longest",
    "error",
    "allowed",
    "checkpoint in float32",
    "permuted",
    "runs",
    "not the same",
)
_HEADER = f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"


def _row(finding: Finding) -> str:
    permuted = finding.permutation_error
    cells = [
        finding.case,
        f"{finding.sequences:,}",
        f"{finding.longest:,}",
        f"{finding.error:.1e}",
        f"{finding.allowed:.1e}",
        f"{finding.own_error:.1e}",
        "order matters" if permuted is None else f"{permuted:.1e}",
        f"{finding.tried}",
        f"{finding.different}",
    ]
    return f"| {' | '.join(cells)} |"
