"""checkov finds nothing in the chart and in the image's recipe but what is meant, for a reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.kubernetes.rendered import needs_tools, releases

CHECKOV = ROOT / "build" / "checkov" / "bin" / "checkov"
pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not CHECKOV.is_file(),
        reason="checkov was not run: there is no build/checkov; make test-clusters",
    ),
]
MEANT = {
    "CKV_K8S_11": "no CPU limit: it stops steps half-way, and everybody waits",
    "CKV_K8S_15": "a release's tag does not move: IfNotPresent",
    "CKV_K8S_21": "a release is installed into the namespace that one names",
    "CKV_K8S_43": "a digest is of one's own registry: image.digest",
}
MEANT_OF_IMAGE = {
    "CKV_DOCKER_7": "the base is a build argument, whose default has a version",
}


def failed(folder: Path, framework: str) -> set[str]:
    """Checks that fail for what lies in a folder; some pass, or nothing was looked at."""
    command = [str(CHECKOV), "--directory", str(folder), "--framework", framework]
    command += ["--output", "json", "--quiet", "--compact", "--skip-download", "--soft-fail"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 20
    assert report["summary"]["parsing_errors"] == 0
    return {one["check_id"] for one in report["results"]["failed_checks"]}


@needs_tools
@pytest.mark.parametrize(
    ("case", "fewer"), [("all", set()), ("claim", {"CKV_K8S_15", "CKV_K8S_43"}), ("gpu", set())]
)
def test_what_fails_of_the_chart_is_meant(case: str, fewer: set[str], tmp_path: Path) -> None:
    """A digest settles two of them."""
    (tmp_path / "chart.yaml").write_text(releases()[case]["text"])
    assert failed(tmp_path, "kubernetes") == set(MEANT) - fewer


def test_what_fails_of_the_image_is_meant(tmp_path: Path) -> None:
    """Under the only name by which checkov knows such files."""
    (tmp_path / "Dockerfile").write_text((ROOT / "deploy" / "Containerfile").read_text())
    assert failed(tmp_path, "dockerfile") == set(MEANT_OF_IMAGE)
