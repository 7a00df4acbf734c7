"""A session: an opened bundle on a device, running packs through the bundle's stages in turn."""

from __future__ import annotations

from service.attention import AttentionRunner
from service.bundle import Bundle
from service.graph import Graph, Options
from service.manifest import AttentionStage, SequenceStage, Stage, TokenStage
from service.pack import Array, Pack
from service.stages import Progress, Runner, SequenceRunner, TokenRunner


class Session:
    """Runs packs of one bundle. Not safe for two threads at once: a device has one runner."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        self.manifest = bundle.manifest
        self._slice_tokens = options.slice_tokens
        on_cpu = options.device == "cpu"  # elsewhere kernels choose by the size of a step
        self.isolation = self.manifest.isolation if on_cpu else self.manifest.tolerance
        self._runners = [
            _runner(stage, Graph(bundle, stage.file, options)) for stage in bundle.manifest.stages
        ]

    def run(self, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
        """Output name -> (T, width) for per-token outputs, (N, width) for per-sequence ones.

        A sequence's rows depend neither on what else is in the pack nor on the size of slices.
        """
        progress = Progress(pack, slice_tokens or self._slice_tokens)
        for runner in self._runners:
            runner.advance(progress)
        return {o.name: progress.output(o) for o in self.manifest.outputs}


def _runner(stage: Stage, graph: Graph) -> Runner:
    if isinstance(stage, TokenStage):
        return TokenRunner(stage, graph)
    if isinstance(stage, AttentionStage):
        return AttentionRunner(stage, graph)
    assert isinstance(stage, SequenceStage)
    return SequenceRunner(graph)
