"""The built image, run as hardened as in production: it serves, and holds what serving needs.

Needs a docker daemon and the image of `make image`; where either is missing nothing here runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.containers import PYTHON, Container, built_image, call, docker, running

pytestmark = pytest.mark.container

BUNDLES = Path(__file__).parents[2] / "deploy" / "bundles"
STOP_SECONDS = 40
MOST_BYTES = 400_000_000
FILES = """
import os, stat
for folder, folders, files in os.walk("/", followlinks=False):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in SKIPPED]
    for name in folders + files:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if WANTED:
            print(path)
"""
SKIPPED = ("/proc", "/sys", "/dev")
WRITABLE = "mode & stat.S_IWOTH and not mode & stat.S_ISVTX and not stat.S_ISLNK(mode)"
SETUID = "mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode)"


@pytest.fixture(scope="module")
def image() -> str:
    return built_image()


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    with running() as container:
        container.wait_until_healthy()
        yield container


def inside(image: str, code: str, *options: str) -> str:
    """What Python prints in a container of its own."""
    run = ("run", "--rm", "--network=none", f"--entrypoint={PYTHON}", *options, image)
    return docker(*run, "-c", code)


def found(image: str, wanted: str) -> list[str]:
    """The image's files and folders of some kind, as root sees them."""
    code = FILES.replace("SKIPPED", str(SKIPPED)).replace("WANTED", wanted)
    return inside(image, code, "--user=0").split()


def predict(container: Container, sequences: list[list[int]]) -> httpx.Response:
    url = f"{container.url}/v1/models/digit_sum/predict"
    return httpx.post(url, json={"sequences": sequences}, trust_env=False)


def test_every_bundle_of_the_repository_is_served(container: Container) -> None:
    answer = httpx.get(f"{container.url}/v1/models", trust_env=False).json()
    served = {model["name"] for model in answer["models"]}
    assert served == {file.parent.parent.name for file in BUNDLES.glob("*/*/bundle.json")}
    assert "digit_sum" in served


def test_the_page_is_served_with_its_scripts(container: Container) -> None:
    for path in ("/", "/page/app.js", "/page/style.css"):
        assert httpx.get(container.url + path, trust_env=False).status_code == 200


def test_sequences_of_unequal_length_are_predicted(container: Container) -> None:
    answer = predict(container, [[1, 2, 3], [], [9, 9, 9, 9]])
    assert answer.status_code == 200, answer.text
    sums = [value for (value,) in answer.json()["outputs"]]
    assert sums == pytest.approx([6, 0, 36], abs=0.25)


def test_every_line_of_the_log_is_json(container: Container) -> None:
    predict(container, [[1]])
    lines = [json.loads(line) for line in container.log().splitlines()]
    assert lines[-1]["logger"] == "sumserve.access"


def test_the_server_runs_as_uid_10001_with_no_capability(container: Container) -> None:
    lines = container.python("print(open('/proc/1/status').read())").splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == ["10001"] * 4
    assert int(status["CapEff"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]


def test_the_user_may_write_nothing_of_what_runs_even_without_read_only(image: str) -> None:
    code = "import os; print([p for p in ('/', '/opt/venv', '/bundles') if os.access(p, os.W_OK)])"
    assert inside(image, code) == "[]"


def test_only_what_serving_needs_is_installed(container: Container) -> None:
    code = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    installed = set(container.python(code).split())
    assert {"sumserve", "onnxruntime"} <= installed
    assert not installed & {"torch", "onnx", "onnxscript", "scikit-learn", "pytest", "mypy", "pip"}


def test_docker_stop_ends_it_with_exit_code_zero(image: str) -> None:
    with running() as container:
        container.wait_until_ready()
        docker("stop", f"--time={STOP_SECONDS}", container.name)
        assert container.state("ExitCode") == "0", container.log()


def test_it_runs_as_any_user_and_its_start_is_measured(
    image: str, record_property: Callable[[str, object], None]
) -> None:
    with running("--user=12345:12345", "--pids-limit=64") as container:
        seconds = container.wait_until_ready()
        assert predict(container, [[1, 2, 3]]).status_code == 200
    record_property("measured", ("`docker run` to ready", f"{seconds:.1f} s"))


def test_the_image_is_small(image: str, record_property: Callable[[str, object], None]) -> None:
    size = int(docker("image", "inspect", "--format={{.Size}}", image))
    record_property("measured", ("size of the image", f"{size / 1e6:.0f} MB"))
    assert size <= MOST_BYTES


def test_nobody_else_may_write_to_a_file(image: str) -> None:
    assert found(image, WRITABLE) == []


def test_what_is_added_to_the_base_raises_nobody_s_rights(image: str) -> None:
    files = found(image, SETUID)
    assert not [path for path in files if path.startswith(("/opt", "/bundles", "/tmp"))]


def test_no_installer_no_compiler_and_no_tests_are_in_it(image: str) -> None:
    names = ("pip", "pip3", "gcc", "cc", "make")
    code = f"import shutil; print([name for name in {names} if shutil.which(name)])"
    assert inside(image, code, "--user=0") == "[]"
    code = "import pathlib; print(*pathlib.Path('/opt/venv').glob('**/tests'))"
    assert inside(image, code) == ""


def test_bytecode_is_in_it_as_nothing_can_be_written(image: str) -> None:
    code = "import os, service.server as s; print(os.path.exists(s.__cached__))"
    assert inside(image, code) == "True"


def test_a_gpu_that_is_asked_for_and_not_there_stops_the_start(image: str) -> None:
    done = call("run", "--rm", "--network=none", "--env=SUMSERVE_DEVICE=cuda", image)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("sumserve serve: ")
    assert "cuda" in line


def test_what_it_does_not_know_of_is_named_before_it_serves(image: str) -> None:
    done = call("run", "--rm", "--network=none", "--env=SUMSERVE_PORT=tcp://10.0.0.1", image)
    assert done.returncode == 1
    assert "SUMSERVE_PORT" in done.stderr


def test_telemetry_of_onnxruntime_is_switched_off(image: str) -> None:
    code = "import onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    run = ("run", "--rm", "--network=none", f"--entrypoint={PYTHON}", image, "-c", code)
    done = call(*run)
    assert (done.stdout.strip(), done.stderr) == ("1", "")
