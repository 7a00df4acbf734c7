"""The GPU image is built with the versions that are pinned, and does not pretend to have a GPU.

Needs a docker daemon, the image of `make image` and minutes: CUDA's libraries are gigabytes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.deploy.containers import built_image, call, installed

pytestmark = [pytest.mark.container, pytest.mark.deploy]

IMAGE = "sumserve-gpu:test"
CUDA = ("nvidia-", "onnxruntime")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    built_image()
    environment = os.environ | {"TARGET": "gpu", "IMAGE": IMAGE}
    command = str(ROOT / "deploy" / "image.sh")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    yield IMAGE
    call("image", "rm", IMAGE)


def test_without_a_gpu_it_ends_with_1_and_says_why_in_its_last_line(image: str) -> None:
    done = call("run", "--rm", "--network=none", image)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sumserve serve: ")
    assert "cuda" in last
    assert "Traceback" not in done.stderr


def test_what_runs_on_the_gpu_has_the_versions_that_are_pinned(image: str) -> None:
    own = {one for one in installed(image) if one.startswith(CUDA)}
    assert {one.partition("==")[0] for one in own} > {"onnxruntime-gpu", "nvidia-cudnn-cu13"}
    assert own <= set((ROOT / "constraints.txt").read_text().split())
