"""A session: an opened bundle on a device, running packs through the bundle's stages in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from service.attention import AttentionRunner
from service.bundle import Bundle
from service.checks import check
from service.errors import BundleError
from service.graph import Graph, Options
from service.manifest import (
    AttentionStage,
    Manifest,
    PaddedStage,
    SequenceStage,
    Stage,
    TokenStage,
    Variant,
)
from service.pack import Array, Pack
from service.padded import PaddedRunner
from service.stages import Progress, Runner, SequenceRunner, TokenRunner

SLACK = 2.0  # times the error that a variant was measured to have


class Session:
    """Runs packs of one bundle. Not safe for two threads at once: a device has one runner."""

    def __init__(self, bundle: Bundle, options: Options, opened: type[Graph] = Graph) -> None:
        self.manifest, self._slice_tokens = bundle.manifest, options.slice_tokens
        self.variant = _variant(bundle, options)
        files = self.variant.files if self.variant else [s.file for s in self.manifest.stages]
        self.graphs = [opened(bundle, file, options) for file in files]
        self._runners = [
            _runner(stage, graph, self.manifest)
            for stage, graph in zip(self.manifest.stages, self.graphs, strict=True)
        ]
        error = self.variant.error if self.variant else 0.0
        self.tolerance = max(self.manifest.tolerance, SLACK * error)
        on_cpu = options.device == "cpu"  # elsewhere kernels choose by the size of a step
        self.isolation = self.manifest.isolation if on_cpu else self.tolerance

    def run(self, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
        """Output name -> (T, width) for per-token outputs, (N, width) for per-sequence ones.

        A sequence's rows depend neither on what else is in the pack nor on the size of slices, but
        for what ``isolation`` says. Raises BadRequest for lengths or ids that are not allowed.
        """
        started = self.start(pack, slice_tokens)
        started.advance()
        return started.outputs

    def start(self, pack: Pack, slice_tokens: int | None = None) -> Run:
        """The same, but nothing is run before it is advanced."""
        check(pack, self.manifest)
        progress = Progress(pack, slice_tokens or self._slice_tokens)
        return Run(progress, self._runners, self.manifest)


class Run:
    """A pack on its way through the stages: advanced by some tokens at a time, until it is done."""

    def __init__(self, progress: Progress, runners: Sequence[Runner], manifest: Manifest) -> None:
        self._progress, self._manifest = progress, manifest
        self._work = (tokens for runner in runners for tokens in runner.advance(progress))
        self.done = False

    def advance(self, tokens: float = math.inf) -> int:
        """Run on until so many tokens have been through a stage, or more; how many they were."""
        ran = 0
        for some in self._work:
            ran += some
            if ran >= tokens:
                return ran
        self.done = True
        return ran

    @property
    def outputs(self) -> dict[str, Array]:
        """What `Session.run` returns, once it is done."""
        assert self.done, "still on its way"
        return {own.name: self._progress.output(own) for own in self._manifest.outputs}


def _variant(bundle: Bundle, options: Options) -> Variant | None:
    try:
        return bundle.manifest.variant(options.variant)
    except KeyError as error:
        raise BundleError(error.args[0]) from error


def _runner(stage: Stage, graph: Graph, manifest: Manifest) -> Runner:
    if isinstance(stage, TokenStage):
        return TokenRunner(stage, graph)
    if isinstance(stage, AttentionStage):
        return AttentionRunner(stage, graph)
    if isinstance(stage, PaddedStage):
        return PaddedRunner(stage, graph, manifest.max_length)
    assert isinstance(stage, SequenceStage)
    return SequenceRunner(graph)
