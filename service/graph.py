"""One graph of a bundle in onnxruntime: what it reads and yields, by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from service.device import Device, misplaced, placed
from service.errors import BundleError, DeviceError
from service.manifest import FP32
from service.names import NEXT, PART
from service.pack import Array
from service.runtime import Threads, onnxruntime, preloaded

EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"
CALM = "session.force_spinning_stop"  # threads that wait for the next run do so asleep
RECORD = "session.record_ep_graph_assignment_info"
STAYS = (NEXT, PART)  # on the device
NAMED = 5  # of the nodes that are misplaced

Value = Any  # an Array, or one of onnxruntime's values, which lies on a device


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how a session runs.

    ``variant`` is the precision, one that the bundle has; ``slice_tokens`` bounds one call of a
    stage (0: as suits the device); ``memory_bytes`` the arena of each graph on a GPU (0: nothing).
    ``alone``: a graph has no thread but its caller's.
    """

    device: str = "cpu"
    variant: str = FP32
    slice_tokens: int = 0
    memory_bytes: int = 0
    alone: bool = False


class Files(Protocol):
    """Where graphs come from: a bundle."""

    @property
    def folder(self) -> Path:
        """What messages name."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        ...


class Graph:
    """A graph that onnxruntime has loaded on the device that was asked for."""

    def __init__(self, files: Files, file: str, options: Options) -> None:
        self.device = Device.parse(options.device)
        self._ort = _opened(files, file, self.device, options)
        self._run_options = onnxruntime().RunOptions()
        self.nodes = _nodes(self._ort, self.device)
        self.shapes = {i.name: i.shape for i in self._ort.get_inputs()}
        self.reads = list(self.shapes)
        self.yields = [o.name for o in self._ort.get_outputs()]

    def run(self, feeds: Mapping[str, Value]) -> dict[str, Value]:
        """Run on what the graph reads of ``feeds``."""
        given = {name: feeds[name] for name in self.reads}
        found = self._ort.run(self.yields, given, self._run_options)
        return dict(zip(self.yields, found, strict=True))

    def stop(self, now: bool = True) -> None:
        """From another thread: what runs now raises before its next node, and so does what comes
        after it, until this is taken back.
        """
        self._run_options.terminate = now


class ResidentGraph(Graph):
    """The same on a GPU: what is for other graphs stays there, the rest comes down as arrays."""

    def run(self, feeds: Mapping[str, Value]) -> dict[str, Value]:
        """Run on arrays, which go up, and on values that are there already."""
        bound = self._ort.io_binding()
        for name in self.reads:
            value = feeds[name]
            if isinstance(value, np.ndarray):
                bound.bind_cpu_input(name, np.ascontiguousarray(value))
            else:
                bound.bind_ortvalue_input(name, value)
        for name in self.yields:
            where = (self.device.kind, self.device.number) if name.startswith(STAYS) else ("cpu", 0)
            bound.bind_output(name, *where)
        self._ort.run_with_iobinding(bound, self._run_options)
        found = zip(self.yields, bound.get_outputs(), strict=True)
        return {name: v if name.startswith(STAYS) else host(v) for name, v in found}


def open_graph(files: Files, file: str, options: Options) -> Graph:
    """Open a graph as suits the device."""
    kind = ResidentGraph if Device.parse(options.device).is_gpu else Graph
    return kind(files, file, options)


def host(value: Value) -> Array:
    """A value as an array, wherever it lies."""
    return value if isinstance(value, np.ndarray) else np.asarray(value.numpy())


def _opened(files: Files, file: str, device: Device, options: Options) -> Any:
    ort, why = onnxruntime(), preloaded() if device.is_gpu else ""
    if device.provider not in ort.get_available_providers():
        raise _no_device(device, ort.get_available_providers(), why)
    graph, name = files.read(file), str(files.folder / file)
    provider = (device.provider, device.provider_options(options.memory_bytes))
    try:
        session = ort.InferenceSession(
            graph,
            session_options(device, options.alone),
            providers=[provider],
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime's own classes have no public base
        what = str(error).splitlines()[0][:300]
        refused = DeviceError if device.is_gpu else BundleError
        raise refused(f"{name}: onnxruntime refuses it on {device}: {what}") from error
    if session.get_providers()[0] != device.provider:  # it falls back to the CPU without a word
        raise _no_device(device, session.get_providers(), why)
    if device.is_gpu:
        _check_placement(session, name, device)
    return session


def _no_device(device: Device, found: list[str], why: str) -> DeviceError:
    has = f"device {device} was asked for; onnxruntime has {', '.join(found)}"
    return DeviceError(f"{has}: {why}" if why else has)


def _check_placement(session: Any, name: str, device: Device) -> None:
    """DeviceError naming the nodes that onnxruntime has put elsewhere, as it may for any node."""
    elsewhere = misplaced(session.get_provider_graph_assignment_info(), device.provider)
    if elsewhere:
        more = f" and {len(elsewhere) - NAMED} more" if len(elsewhere) > NAMED else ""
        raise DeviceError(
            f"{name}: not all of it runs on {device}: {', '.join(elsewhere[:NAMED])}{more}"
        )


def _nodes(session: Any, device: Device) -> Counter[str]:
    """By provider; on a CPU all run on it, and onnxruntime is not asked to keep account."""
    return placed(session.get_provider_graph_assignment_info()) if device.is_gpu else Counter()


def session_options(device: Device | None = None, alone: bool = False) -> Any:
    """onnxruntime's options for a session of ours; starts the process's threads if none run."""
    Threads.start()
    chosen = onnxruntime().SessionOptions()
    chosen.intra_op_num_threads = 1 if alone else Threads.count
    chosen.add_session_config_entry(CALM, "1")
    chosen.enable_mem_pattern = False  # a plan is kept for every shape ever seen
    chosen.log_severity_level = 3
    # Weights lie in the graph: what points to a file outside it is not looked for.
    chosen.add_session_config_entry(EXTERNAL_DATA, os.devnull)
    if device is not None and device.is_gpu:
        chosen.add_session_config_entry(RECORD, "1")
    return chosen
