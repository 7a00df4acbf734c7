"""A peer's processes in one setting: ready once it answers, and gone with all their children."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from benchmarks.handlers.setting import Setting
from benchmarks.peers import triton
from benchmarks.peers.client import Connection
from benchmarks.peers.environments import python
from benchmarks.peers.graphs import GRAPHS
from benchmarks.peers.messages import Message
from benchmarks.process import ServerProcess, free_port
from benchmarks.tree import descendants, end

HANDLERS = Path("benchmarks/handlers")
MODULES = {
    "mosec": "mosec_worker",
    "litserve": "litserve_api",
    "fastapi": "fastapi_app",
    "ray": "ray_deployment",
}
QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
}
SCRATCH = ("TMPDIR", "RAY_TMPDIR")  # what a peer that is killed leaves there goes with the folder
TUNED = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}

TRITON_CONFIG = """\
backend: "python"
max_batch_size: {batch}
input [{{ name: "x" data_type: TYPE_FP32 dims: [-1, 8] {ragged} }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [-1, 8] }}]
instance_group [{{ kind: KIND_CPU count: {workers} }}]
{batching}
"""


class PeerProcess(ServerProcess):
    """``first`` is a small request: the peer is ready when it answers that."""

    _talks = True
    _patience = 3.0

    def __init__(self, setting: Setting, first: Message) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._first = first
        self._folder = tempfile.TemporaryDirectory()
        models, scratch = (Path(self._folder.name) / name for name in ("models", "t"))
        scratch.mkdir()
        self._command = _command(setting, self.port, models)
        own = setting.environment(self.port, str(GRAPHS.absolute()))
        tuned = TUNED if setting.tuned else {}
        path = {"PYTHONPATH": str(Path.cwd())} | dict.fromkeys(SCRATCH, str(scratch))
        self._environment = {**os.environ, **QUIET, **tuned, **own, **path}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        children = descendants(self.process.pid)
        super().__exit__(kind, error, trace)
        end(children)
        self._folder.cleanup()

    def _wait_until_ready(self, seconds: float = 60) -> None:
        try:
            super()._wait_until_ready(seconds)
        except BaseException:
            children = descendants(self.process.pid)
            self.process.kill()
            self.process.wait()
            end(children)
            raise

    def _ready(self) -> bool:
        try:
            with Connection(self.port) as connection:
                connection.send(self._first.prepared)
        except (OSError, KeyError):  # refused, not 200, or an answer of unknown length
            return False
        return True


def _command(setting: Setting, port: int, folder: Path) -> list[str]:
    peer = setting.peer
    if peer == "triton":
        return triton.command(_triton_models(setting, folder), port)
    interpreter = str(python(peer))
    if peer == "bentoml":
        service = "benchmarks.handlers.bentoml_service:Answer"
        return [interpreter, "-m", "bentoml", "serve", service, "--port", str(port), "-q"]
    return [interpreter, "-m", f"benchmarks.handlers.{MODULES[peer]}"]


def _triton_models(setting: Setting, folder: Path) -> Path:
    """A folder with one model; without batching, one tensor is one sequence."""
    batched = setting.batch > 1
    model = folder / "reference"
    (model / "1").mkdir(parents=True)
    shutil.copy(HANDLERS / "triton_model.py", model / "1" / "model.py")
    config = TRITON_CONFIG.format(
        batch=setting.batch if batched else 0,
        workers=setting.workers,
        ragged="allow_ragged_batch: true" if batched else "",
        batching="dynamic_batching {}" if batched else "",
    )
    (model / "config.pbtxt").write_text(config)
    return folder
