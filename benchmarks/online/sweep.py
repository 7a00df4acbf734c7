"""Every setting of every peer on two kinds of requests, and the best of them on all kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tqdm import tqdm

from benchmarks.handlers.setting import Setting
from benchmarks.mixes import mixes
from benchmarks.online.cells import Cell, Cells
from benchmarks.online.contender import BINARY, JSON, Contender
from benchmarks.online.load import Loader
from benchmarks.online.settings import EXPERTS, THREADS, expert, quiet, swept, usual
from benchmarks.online.traffic import LOGNORMAL, SHORT
from benchmarks.online.verdicts import geometric_mean

FIRST: Sequence[Cell] = ((LOGNORMAL, BINARY), (SHORT, JSON))
TAKEN: Mapping[Cell, int] = {FIRST[0]: 2, FIRST[1]: 1}  # how many of the best go on
ROUND: Sequence[Cell] = tuple((mix, BINARY) for mix in (*mixes(), SHORT))  # of the mean
ALL: Sequence[Cell] = (*ROUND, (LOGNORMAL, JSON), (SHORT, JSON))


class Sweep:
    """Short loads, each setting in a server of its own."""

    def __init__(self, loader: Loader, cells: Cells, seconds: int) -> None:
        self._loader, self._cells, self._seconds = loader, cells, seconds

    def run(self, peers: Sequence[str]) -> None:
        """Whatever has not been measured yet."""
        self._each((s for peer in peers for s in swept(peer)), FIRST, "sweep")
        self._each((s for peer in peers for s in self.candidates(peer)), ALL, "candidates")

    def candidates(self, peer: str) -> list[Setting]:
        """The best settings for the first cells; the best with two threads, without spinning."""
        settings = swept(peer)
        best = [s for cell in FIRST for s in self._sorted(settings, cell)[: TAKEN[cell]]]
        pairs = [s for s in settings if s.threads == max(THREADS)]
        return list(dict.fromkeys(best + quiet([self._sorted(pairs, c)[0] for c in FIRST])))

    def best(self, peers: Sequence[str], cell: Cell, most: int) -> list[Setting]:
        """Of all candidates, the fastest first."""
        return self._sorted([s for peer in peers for s in self.candidates(peer)], cell)[:most]

    def best_single(self, peers: Sequence[str], most: int) -> list[Setting]:
        """By the geometric mean over all kinds of binary requests."""

        def mean(setting: Setting) -> float:
            return geometric_mean([self._cells.rate(setting.name, cell) for cell in ROUND])

        found = [s for peer in peers for s in self.candidates(peer)]
        return sorted(found, key=mean, reverse=True)[:most]

    def _sorted(self, settings: Sequence[Setting], cell: Cell) -> list[Setting]:
        """The fastest first."""
        return sorted(settings, key=lambda s: self._cells.rate(s.name, cell), reverse=True)

    def _each(self, settings: Iterable[Setting], cells: Sequence[Cell], label: str) -> None:
        for setting in tqdm(list(settings), label, unit="setting"):
            missing = [cell for cell in cells if not self._cells.rate(setting.name, cell)]
            if missing:
                self._one(Contender(setting), missing)

    def _one(self, contender: Contender, cells: Sequence[Cell]) -> None:
        """A peer that fails in a setting has no rate there, and why is kept."""
        try:
            with contender.server() as server:
                for mix, wire in cells:
                    found = self._loader.closed(contender, server, wire, mix, self._seconds)
                    self._cells.put(contender.name, (mix, wire), found)
        except (AssertionError, OSError, RuntimeError) as error:
            print(f"{contender.name}: {str(error)[-500:]}")
            for cell in cells:
                if self._cells.get(contender.name, cell) is None:
                    self._cells.put(contender.name, cell, {"failed": str(error)[-500:]})


def usuals(peers: Sequence[str]) -> list[Setting]:
    """One a peer."""
    return [usual(peer) for peer in peers]


def experts(peers: Sequence[str]) -> list[Setting]:
    """Of those peers that have one."""
    return [expert(peer) for peer in peers if peer in EXPERTS]
