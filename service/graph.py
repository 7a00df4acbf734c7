"""One graph of a bundle in onnxruntime: what it reads and yields, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.bundle import Bundle
from service.errors import BundleError, DeviceError
from service.manifest import FP32
from service.pack import SLICE_TOKENS, Array
from service.runtime import Threads, onnxruntime

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # on by default; loses 13 bits


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how a session runs.

    ``variant`` is the precision, one that the bundle has; ``slice_tokens`` bounds one call of a
    stage, for the cache.
    """

    device: str = "cpu"
    variant: str = FP32
    slice_tokens: int = SLICE_TOKENS


class Graph:
    """A graph that onnxruntime has loaded on the device that was asked for."""

    def __init__(self, bundle: Bundle, file: str, options: Options) -> None:
        self._ort = _load(bundle, file, options)
        self.shapes = {i.name: i.shape for i in self._ort.get_inputs()}
        self.reads = list(self.shapes)
        self.yields = [o.name for o in self._ort.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run on what the graph reads of ``feeds``."""
        found = self._ort.run(self.yields, {name: feeds[name] for name in self.reads})
        return dict(zip(self.yields, found, strict=True))


def _load(bundle: Bundle, file: str, options: Options) -> Any:
    ort = onnxruntime()
    provider = PROVIDERS[options.device]
    if provider not in ort.get_available_providers():
        raise _no_device(options.device, ort.get_available_providers())
    graph = bundle.read(file)
    try:
        session = ort.InferenceSession(
            graph, session_options(), providers=[(provider, PROVIDER_OPTIONS.get(provider, {}))]
        )
    except Exception as error:  # onnxruntime's own classes have no public base
        what = str(error).splitlines()[0][:300]
        raise BundleError(f"{bundle.folder / file}: onnxruntime refuses it: {what}") from error
    if session.get_providers()[0] != provider:  # it falls back to the CPU without a word
        raise _no_device(options.device, session.get_providers())
    return session


def _no_device(device: str, found: list[str]) -> DeviceError:
    return DeviceError(f"device {device!r} was asked for; onnxruntime has {', '.join(found)}")


def session_options() -> Any:
    """onnxruntime's options for a session of ours; starts the process's threads if none run."""
    Threads.start()
    chosen = onnxruntime().SessionOptions()
    chosen.use_per_session_threads = False
    chosen.enable_mem_pattern = False  # a plan is kept for every shape ever seen
    chosen.log_severity_level = 3
    # Weights lie in the graph: what points to a file outside it is not looked for.
    chosen.add_session_config_entry(EXTERNAL_DATA, os.devnull)
    return chosen
