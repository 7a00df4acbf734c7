"""Completes a bill of materials by the licences that packages state in words only, and lists them.

    python3 deploy/licences.py sbom.json licences.tsv

The bill is CycloneDX JSON; afterwards each component has one SPDX expression or the list is not
written. It needs nothing but Python, and does not judge: a test does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What is stated in words, or in a file alone, as read in that package's licence.
STATED = {
    "flatbuffers": "Apache-2.0",
    # With its wheel comes GCC's Fortran library, under the exception that lets anybody use it.
    "numpy": "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0 AND "
    "(GPL-3.0-or-later WITH GCC-exception-3.1)",
    "protobuf": "BSD-3-Clause",
    "pysimdjson": "MIT AND Apache-2.0",  # the second is simdjson's, which is inside
    "uvloop": "MIT OR Apache-2.0",
}
CUDA = "LicenseRef-NVIDIA-CUDA-EULA"  # nvidia-*: what the GPU image has besides


def main(bill: Path, listing: Path) -> int:
    """Write the bill anew, and the list beside it; 1 where a licence is not known."""
    document = json.loads(bill.read_text())
    unknown = []
    for component in document["components"]:
        expression = licence(component)
        if expression is None:
            unknown.append(component["name"])
        component["licenses"] = [{"expression": expression}]
    if unknown:
        print(f"licences: not known in SPDX's words: {', '.join(unknown)}", file=sys.stderr)
        return 1
    bill.write_text(json.dumps(document, indent=1) + "\n")
    rows = [(c["name"], c["version"], licence(c)) for c in document["components"]]
    listing.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return 0


def licence(component: dict[str, Any]) -> str | None:
    """One SPDX expression: as stated by hand, else by the package; None where neither does."""
    name = component["name"].lower()
    if name in STATED or name.startswith("nvidia-"):
        return STATED.get(name, CUDA)
    found = []
    for said in component.get("licenses", ()):
        found.append(said.get("expression") or said.get("license", {}).get("id"))
    each = list(dict.fromkeys(filter(None, found)))
    if len(each) > 1:  # all of them bind, unless one says itself that there is a choice
        each = [f"({one})" if " " in one else one for one in each]
    return " AND ".join(each) or None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
