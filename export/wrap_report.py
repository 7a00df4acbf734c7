"""The proof of a wrapped model as people read it: a file, a page, a picture, and a model card."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from export.wrap_verification import MOST_PADDING, SLACK, Finding
from service.bundle import MODEL_CARD, VERIFICATION
from service.manifest import Manifest, PaddedStage
from service.runtime import Threads, onnxruntime

PAGE, PICTURE = "verification.md", "verification.png"


@dataclass(frozen=True, slots=True)
class WrapReport:
    """All that was found. points: a length, and what padding and what company changed there;
    threads: by how much another number of threads moved answers.
    """

    manifest: Manifest
    findings: Sequence[Finding]
    points: Sequence[tuple[int, float, float]]
    threads: float

    def write(self, folder: Path) -> None:
        """The three files."""
        (folder / VERIFICATION).write_text(json.dumps(self._values(), indent=2) + "\n")
        (folder / PAGE).write_text(self._page())
        self._draw(folder / PICTURE)

    @property
    def _name(self) -> str:
        return f"{self.manifest.name}/{self.manifest.version}"

    def _values(self) -> dict[str, object]:
        return {
            "reference": "the wrapped graph, every sequence alone",
            "onnxruntime": onnxruntime().__version__,
            "processor": platform.machine(),
            "threads": Threads.start(),
            "difference_with_other_threads": self.threads,
            "tolerance": self.manifest.tolerance,
            "isolation": self.manifest.isolation,
            "cases": [asdict(finding) for finding in self.findings],
        }

    def _page(self) -> str:
        values, isolated = self._values(), self.manifest.isolation
        company = (
            f"at most by {isolated:.1e}, {SLACK:g} times what was seen"
            if isolated
            else ("not by a bit")
        )
        rows = "\n".join(_row(finding) for finding in self.findings)
        return f"""# Verification of {self._name}

Answers of packs against the wrapped graph's own, every sequence alone. Differences are relative to
each sequence's largest answer. *Padding* is the graph alone, padded against unpadded (or, where it
takes one length only, against other values in the padding); {MOST_PADDING:.0e} is the most it may
be. *Packed* is a sequence in a pack against alone, *other company* the same through other packs.

What else is in a pack moves an answer {company}.
Another number of threads moved answers by {self.threads:.1e}.

{_HEADER}
{rows}

![Differences by length]({PICTURE})

onnxruntime {values["onnxruntime"]}, {values["processor"]}. Again: `sumserve verify BUNDLE`.
"""

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        made = Figure((7, 4), layout="constrained")
        axis = made.subplots()
        lengths, padding, packed = zip(*sorted(self.points), strict=True)
        for label, errors in (("padded, not unpadded", padding), ("packed, not alone", packed)):
            axis.plot(lengths, [max(error, 1e-9) for error in errors], ".", label=label)
        axis.axhline(self.manifest.tolerance, color="k", ls=":", label="tolerance")
        axis.set(xscale="symlog", yscale="log", xlabel="tokens", ylabel="relative difference")
        axis.set_title(self._name)
        axis.legend()
        made.savefig(path, dpi=110)


def write_card(folder: Path, manifest: Manifest, source: str, digest: str) -> None:
    """What is known of a model that came as a file: where it is from, what it reads and answers."""
    stage = manifest.stages[0]
    assert isinstance(stage, PaddedStage)
    reads = "\n".join(
        f"- `{own.name}` ({own.dtype}, {own.axes}): {own.reads} {own.column or ''}".rstrip()
        for own in stage.inputs
    )
    yields = "\n".join(
        f"- `{own.name}`: {own.kind}, {own.width:,} per {own.per}" for own in manifest.outputs
    )
    (folder / MODEL_CARD).write_text(f"""# {manifest.name}

Wrapped from `{source}`, SHA-256 {digest}, with {manifest.architecture.parameters:,} parameters.
How it was trained is not known here.

Reads (b batch, n tokens, w width), {manifest.min_length:,} to {manifest.max_length:,} tokens:

{reads}

Answers:

{yields}
""")


_COLUMNS = (
    "case",
    "sequences",
    "longest",
    "padding",
    "packed",
    "other company",
    "runs",
    "not the same",
)
_HEADER = f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"


def _row(finding: Finding) -> str:
    cells = [
        finding.case,
        f"{finding.sequences:,}",
        f"{finding.longest:,}",
        "not known" if finding.padding is None else f"{finding.padding:.1e}",
        f"{finding.error:.1e}",
        f"{finding.difference:.1e}",
        f"{finding.tried}",
        f"{finding.different}",
    ]
    return f"| {' | '.join(cells)} |"
