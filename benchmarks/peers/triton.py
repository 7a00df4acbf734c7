"""Triton: its server binary comes with the nvidia-pytriton package, and so does its Python backend.

The binary is run as it is, on a folder with one Python model that answers its input.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.peers.process import Peer

ENVIRONMENT = Path("build/peers/triton")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ENVIRONMENT / "lib" / f"python{PYTHON}" / "site-packages"
TRITON = PACKAGES / "pytriton" / "tritonserver"
STUB = "triton_python_backend_stub"

CONFIG = """\
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1, 8] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1, 8] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""

MODEL = """\
import triton_python_backend_utils as backend


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = backend.get_input_tensor_by_name(request, "x").as_numpy()
        return backend.InferenceResponse([backend.Tensor("y", x)])
"""


def install() -> Path:
    """Make the environment, with the backend's stub for this Python where Triton looks for it."""
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    subprocess.run(
        [ENVIRONMENT / "bin" / "pip", "install", "--quiet", "nvidia-pytriton"], check=True
    )
    shutil.copy(TRITON / "python_backend_stubs" / PYTHON / STUB, TRITON / "backends" / "python")
    return ENVIRONMENT


def installed() -> bool:
    """Whether that has been done."""
    return (TRITON / "backends" / "python" / STUB).exists()


def server(models: Path) -> Peer:
    """Triton, serving the identity as `reference` from an empty folder.

    Raises FileNotFoundError where it is not installed.
    """
    if not installed():
        raise FileNotFoundError("install it with: python -m benchmarks.peers")
    folder = models / "reference" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text(CONFIG)
    (folder / "model.py").write_text(MODEL)

    return Peer(lambda port: command(models, port))


def command(models: Path, port: int) -> list[str]:
    """What starts Triton on a folder of models."""
    listen = [f"--http-port={port}", "--http-address=127.0.0.1"]
    alone = ["--allow-grpc=false", "--allow-metrics=false"]
    backends = f"--backend-directory={(TRITON / 'backends').absolute()}"
    binary = str(TRITON / "bin" / "tritonserver")
    return [*_environment(), binary, f"--model-repository={models}", backends, *listen, *alone]


def _environment() -> list[str]:
    """Its own libraries and its environment's Python, with the library that belongs to that."""
    libraries = [sysconfig.get_config_var("LIBDIR"), PACKAGES.absolute() / "nvidia_pytriton.libs"]
    path = f"PATH={(ENVIRONMENT / 'bin').absolute()}:{os.environ['PATH']}"
    return ["env", path, f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}"]
