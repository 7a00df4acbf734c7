"""A session: an opened bundle on a device, running packs through the bundle's chain of stages.

A stage is token-wise: it reads tokens and the summary so far, and yields hidden tokens and, per
block, a contribution to the next summary. Between stages contributions are folded per sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from service.bundle import Bundle
from service.errors import BundleError, DeviceError
from service.manifest import Stage
from service.pack import SLICE_TOKENS, Array, Blocks, Pack, Slice
from service.runtime import Threads, onnxruntime

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # on by default; loses 13 bits


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how a session runs. ``slice_tokens`` bounds one call of a stage, for the cache."""

    device: str = "cpu"
    slice_tokens: int = SLICE_TOKENS


class Session:
    """Runs packs of one bundle. Not safe for two threads at once: a device has one runner."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        self.manifest = bundle.manifest
        self._slice_tokens = options.slice_tokens
        self._stages = [_Graph(bundle, stage, options) for stage in bundle.manifest.stages]

    def run(self, pack: Pack) -> dict[str, Array]:
        """Output name -> (T, width) for per-token outputs, (N, width) for per-sequence ones.

        A sequence's rows do not depend on what else is in the pack.
        """
        blocks = Blocks.of(pack.lengths)
        slices = list(blocks.slices(self._slice_tokens))
        hidden = [_cut(pack.columns, part) for part in slices]
        shared = {"count": _count(pack.lengths)}
        for stage in self._stages[:-1]:
            found = [stage.run(h | _feeds(shared, s)) for h, s in zip(hidden, slices, strict=True)]
            hidden = [{"hidden": f["next_hidden"]} if "next_hidden" in f else {} for f in found]
            contributions = _stack([f["contribution"][:-1] for f in found], stage.summary_width)
            summary = blocks.fold(contributions, len(pack.lengths))
            with np.errstate(over="ignore"):  # an answer that is not finite is the wire's matter
                shared["summary"] = summary.astype(np.float32)
        return self._finish(hidden, slices, shared)

    def _finish(
        self, hidden: list[dict[str, Array]], slices: list[Slice], shared: dict[str, Array]
    ) -> dict[str, Array]:
        last, outputs = self._stages[-1], self.manifest.outputs
        if not last.reads_tokens:
            return last.run(shared)
        rows = [last.run(h | _feeds(shared, s)) for h, s in zip(hidden, slices, strict=True)]
        return {o.name: _stack([r[o.name] for r in rows], o.width) for o in outputs}


class _Graph:
    """One stage's graph in onnxruntime."""

    def __init__(self, bundle: Bundle, stage: Stage, options: Options) -> None:
        self._ort = _load(bundle, stage.file, options)
        self._reads = [i.name for i in self._ort.get_inputs()]
        self._yields = [o.name for o in self._ort.get_outputs()]
        self.reads_tokens = not set(self._reads) <= {"summary", "count"}
        self.summary_width = stage.summary_width or 0

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run on what the graph reads of ``feeds``."""
        found = self._ort.run(self._yields, {name: feeds[name] for name in self._reads})
        return dict(zip(self._yields, found, strict=True))


def _count(lengths: Array) -> Array:
    """(N, 2): n and log(1 + n), which a graph's kernel would round by its place in the tensor."""
    return np.stack([lengths, np.log1p(lengths)], axis=1).astype(np.float32)


def _cut(columns: dict[str, Array], part: Slice) -> dict[str, Array]:
    return {name: values[part.tokens] for name, values in columns.items()}


def _feeds(shared: dict[str, Array], part: Slice) -> dict[str, Array]:
    """What a stage may read besides tokens: the slice's summaries, and where its tokens belong."""
    own = {name: values[part.sequences] for name, values in shared.items()}
    return {**own, "owner": part.owner, "rows": part.rows, "sizes": part.sizes}


def _stack(parts: list[Array], width: int) -> Array:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)


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
        raise BundleError(f"{bundle.folder / file}: onnxruntime refuses it: {error}") from error
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
    return chosen
