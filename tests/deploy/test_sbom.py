"""The image's Python packages, as it says itself: each has a licence, and none binds others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.deploy.containers import PYTHON, built_image, docker

SCRIPT = ROOT / "deploy" / "licences.py"
AT = "/opt/venv/share/sbom"
STRONG = re.compile(r"\b(A?GPL|SSPL|EUPL|OSL)\b")
ALLOWED = {"numpy": "GCC's Fortran library, whose exception lets programs of any licence use it"}


def completed(folder: Path, *components: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    bill, listing = folder / "sbom.json", folder / "licences.tsv"
    bill.write_text(json.dumps({"components": components}))
    command = [sys.executable, str(SCRIPT), str(bill), str(listing)]
    return subprocess.run(command, capture_output=True, text=True)


def component(name: str, *licences: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1", "licenses": list(licences)}


def test_words_of_a_licence_give_way_to_its_spdx_expression(tmp_path: Path) -> None:
    words = {"license": {"name": "The licence of M, I and T"}}
    done = completed(tmp_path, component("one", words, {"license": {"id": "MIT"}}))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "licences.tsv").read_text() == "one\t1\tMIT\n"
    (one,) = json.loads((tmp_path / "sbom.json").read_text())["components"]
    assert one["licenses"] == [{"expression": "MIT"}]


def test_every_licence_that_a_package_states_is_kept_and_choices_stay_choices(
    tmp_path: Path,
) -> None:
    mit, gpl = {"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}}
    choice = {"expression": "MIT OR Apache-2.0"}, {"license": {"id": "Zlib"}}
    done = completed(tmp_path, component("one", mit, gpl, mit), component("two", *choice))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "licences.tsv").read_text().splitlines() == [
        "one\t1\tMIT AND GPL-3.0-only",
        "two\t1\t(MIT OR Apache-2.0) AND Zlib",
    ]


def test_an_entry_of_neither_form_is_no_licence_and_no_traceback(tmp_path: Path) -> None:
    done = completed(tmp_path, component("strange", {"acknowledgement": "declared"}))
    assert done.returncode == 1
    assert done.stderr == "licences: not known in SPDX's words: strange\n"


def test_a_package_whose_licence_nobody_knows_is_named_and_stops_the_build(tmp_path: Path) -> None:
    words = {"license": {"name": "ask me"}}
    done = completed(tmp_path, component("strange", words), component("numpy"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("strange")
    assert not (tmp_path / "licences.tsv").exists()


@pytest.mark.container
def test_every_python_package_of_the_image_is_in_its_bill_and_none_binds_others() -> None:
    image = built_image()
    code = (
        "import importlib.metadata as m, json;"
        "names = sorted(d.name for d in m.distributions());"
        f"print(json.dumps([names, json.load(open('{AT}/sbom.json'))]))"
    )
    run = ("run", "--rm", "--network=none", f"--entrypoint={PYTHON}", image, "-c", code)
    installed, bill = json.loads(docker(*run))
    licences = {c["name"]: c["licenses"][0]["expression"] for c in bill["components"]}
    assert sorted(licences) == installed
    assert bill["bomFormat"] == "CycloneDX"
    assert {name for name, said in licences.items() if STRONG.search(said)} == set(ALLOWED)
