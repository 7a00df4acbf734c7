"""A session: an opened bundle on a device, running packs through the bundle's stages in turn."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from service.attention import AttentionRunner
from service.bundle import Bundle
from service.checks import check
from service.device import Device, Placement
from service.errors import BundleError
from service.explain.omissions import Omissions, Stages
from service.explain.subject import subtracts
from service.graph import Graph, Options, open_graph
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
from service.places import Places
from service.runtime import Threads
from service.stages import Progress, Runner, SequenceRunner, TokenRunner
from service.streams.walk import Walk
from service.sums import BlockSums, Contribute, every_block
from service.team import Team

SLACK = 2.0  # times the error that a variant was measured to have
SPARSE = 4  # times the room of a slice: blocks of one token that have room for more


class Session:
    """Runs packs of one bundle. Not safe for two threads at once: a device has one runner."""

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        opened: Callable[[Bundle, str, Options], Graph] = open_graph,
    ) -> None:
        device = Device.parse(options.device)
        self.manifest = bundle.manifest
        self._slice_tokens = options.slice_tokens or device.slice_tokens
        self.variant = _variant(bundle, options)
        files = self.variant.files if self.variant else [s.file for s in self.manifest.stages]
        self._team = Team(1) if device.is_gpu else Threads.shared()
        self.graphs = [
            opened(bundle, file, replace(options, alone=isinstance(stage, TokenStage)))
            for stage, file in zip(self.manifest.stages, files, strict=True)
        ]
        contribute = BlockSums(options) if device.is_gpu else every_block
        self.places = Places()
        self._runners = [
            _runner(stage, graph, self.manifest, self._team, contribute, self.places)
            for stage, graph in zip(self.manifest.stages, self.graphs, strict=True)
        ]
        nodes = sum((graph.nodes for graph in self.graphs), Counter())
        self.placement = Placement(str(device), options.variant, device.provider, nodes)
        error = self.variant.error if self.variant else 0.0
        self.tolerance = max(self.manifest.tolerance, SLACK * error)
        # A GPU's kernels choose how to round by the size of a step.
        self.isolation = self.tolerance if device.is_gpu else self.manifest.isolation

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
        even = self._team.slice_tokens(pack.tokens, self._slice_tokens)
        progress = Progress(pack, slice_tokens or even)
        return Run(progress, self._runners, self.manifest)

    def walk(self) -> Walk:
        """The same for one sequence that comes piece by piece; of token and sequence stages."""
        return Walk(self._runners, self._slice_tokens)

    def omissions(self, pack: Pack, most: int) -> Omissions | None:
        """Outputs per sequence without each token in turn, so many tokens at a time; None where
        that takes runs of all the others.
        """
        if not subtracts(self.manifest, [graph.reads for graph in self.graphs]):
            return None
        check(pack, self.manifest)
        (stage, _), (tokens, last) = self.manifest.stages, self._runners
        assert isinstance(stage, TokenStage)
        assert isinstance(tokens, TokenRunner)
        assert isinstance(last, SequenceRunner)
        rows = self.graphs[0].shapes["rows"][1]  # a number where it is fixed
        narrow = not isinstance(rows, int)
        longest = self._slice_tokens if narrow else SPARSE * self._slice_tokens // rows
        slices = partial(self._team.slice_tokens, most=longest)
        return Omissions(Stages(tokens, last, stage.summaries, slices, narrow), pack, most)

    def stop(self, now: bool = True) -> None:
        """From another thread: whatever runs is to raise, soon; not so any more, if not ``now``."""
        for graph in self.graphs:
            graph.stop(now)


class Run:
    """A pack on its way through the stages: advanced by some tokens at a time, until it is done."""

    def __init__(self, progress: Progress, runners: Sequence[Runner], manifest: Manifest) -> None:
        self._progress, self._manifest = progress, manifest
        self._work = (
            (stage, tokens)
            for stage, runner in enumerate(runners)
            for tokens in runner.advance(progress)
        )
        self._spent = [(0, 0.0)] * len(runners)
        self.done = False

    def advance(self, tokens: float = math.inf) -> int:
        """Run on until so many tokens have been through a stage, or more; how many they were."""
        ran, started = 0, time.perf_counter()
        for stage, some in self._work:
            now = time.perf_counter()
            before, seconds = self._spent[stage]
            self._spent[stage] = before + some, seconds + now - started
            ran, started = ran + some, now
            if ran >= tokens:
                return ran
        self.done = True
        return ran

    def spent(self) -> list[tuple[int, float]]:
        """Tokens and seconds of each stage since this was last asked."""
        spent, self._spent = self._spent, [(0, 0.0)] * len(self._spent)
        return spent

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


def _runner(
    stage: Stage,
    graph: Graph,
    manifest: Manifest,
    team: Team,
    contribute: Contribute,
    places: Places,
) -> Runner:
    if isinstance(stage, TokenStage):
        return TokenRunner(stage, graph, team, contribute)
    if isinstance(stage, AttentionStage):
        return AttentionRunner(stage, graph, places)
    if isinstance(stage, PaddedStage):
        return PaddedRunner(stage, graph, manifest.max_length, places)
    assert isinstance(stage, SequenceStage)
    return SequenceRunner(graph)
