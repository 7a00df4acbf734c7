"""A session: an opened bundle on a device, running packs through the bundle's stages in turn."""

from __future__ import annotations

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
        check(pack, self.manifest)
        progress = Progress(pack, slice_tokens or self._slice_tokens)
        for runner in self._runners:
            runner.advance(progress)
        return {o.name: progress.output(o) for o in self.manifest.outputs}


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
