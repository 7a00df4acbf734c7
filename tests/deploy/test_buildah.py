"""The Containerfile, unchanged, is built by buildah too, without a daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.deploy.containers import INSTALLED, built_image, docker, installed

pytestmark = [pytest.mark.container, pytest.mark.deploy]

STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


def test_buildah_s_image_is_run_as_docker_s_is_and_has_the_same_packages(tmp_path: Path) -> None:
    image, base = built_image(), os.environ.get("BASE_IMAGE")
    if shutil.which("buildah") is None or not base:
        pytest.skip("buildah built nothing: there is no buildah, or BASE_IMAGE names no image")
    docker("save", f"--output={tmp_path}/base.tar", base)
    (tmp_path / "storage.conf").write_text(STORAGE.format(folder=tmp_path))
    about = {"CONTAINERS_STORAGE_CONF": f"{tmp_path}/storage.conf", "BUILDER": "buildah"}
    environment = os.environ | about | {"IMAGE": "sumserve:buildah"}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    try:
        run("buildah", "pull", "--quiet", f"docker-archive:{tmp_path}/base.tar")
        run("deploy/image.sh")
        built = json.loads(run("buildah", "inspect", "--type=image", "sumserve:buildah"))
        own = run("buildah", "from", "--name=sumserve-listed", "sumserve:buildah").strip()
        inside = "buildah", "run", "--isolation=chroot", "--user=10001", own, "--", "python3", "-c"
        listed = run(*inside, INSTALLED)
        run("buildah", "rm", own)
    finally:
        run("buildah", "rmi", "--all", "--force")
        subprocess.run(["umount", f"{tmp_path}/graph/overlay"], capture_output=True)
    wanted = json.loads(docker("image", "inspect", "--format={{json .Config}}", image))
    assert promises(built["Docker"]["config"]) == promises(wanted)
    assert listed.split() == installed(image)


def promises(config: dict[str, Any]) -> dict[str, Any]:
    """What an image says of how it is run."""
    names = ("Cmd", "Entrypoint", "ExposedPorts", "Healthcheck", "StopSignal", "User")
    return {name: config[name] for name in names}
