"""The measured rows: ours beside the best settings that the sweep found, and the usual ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.handlers.setting import Setting
from benchmarks.online.contender import BINARY, JSON, OURS, Contender
from benchmarks.online.load import Loader
from benchmarks.online.races import LIMIT, LONG, Found, figures, one_long, open_race, race, tour
from benchmarks.online.sweep import ROUND, Sweep, experts, usuals
from benchmarks.online.traffic import LOGNORMAL, SHORT, Limit
from benchmarks.online.verdicts import Verdict, fastest, means, quickest, verdict

RATE, TOKENS = "requests_per_second", "tokens_per_second"
OPEN_SHARE = 0.7  # of the best peer's peak
TOP = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long everything takes: seconds of a closed and of an open loop, and rounds."""

    closed: int = 3
    opened: float = 10
    rounds: int = 5
    tours: int = 3
    longs: int = 9


class Final:
    """Runs what every row needs, and judges it."""

    def __init__(self, loader: Loader, limit: Limit, lengths: Lengths) -> None:
        self._loader, self._limit, self._lengths = loader, limit, lengths
        self.measured: dict[str, Any] = {}
        self.verdicts: list[Verdict] = []

    def run(self, sweep: Sweep, peers: Sequence[str]) -> None:
        """All rows."""
        peak, best = self._lognormal(sweep.best(peers, (LOGNORMAL, BINARY), TOP))
        self._json(sweep.best(peers, (LOGNORMAL, JSON), TOP))
        self._short(sweep, [peer for peer in ("mosec", "litserve") if peer in peers])
        self._open(best, peak * OPEN_SHARE)
        self._tour(sweep.best_single(peers, 2), usuals(peers), experts(peers))
        self._long()

    def _lognormal(self, peers: Sequence[Setting]) -> tuple[float, list[Setting]]:
        """The best peer's requests a second, and the two fastest peers."""
        found = self._race((LOGNORMAL, BINARY), peers, self._limit)
        rates, tokens = figures(found, RATE), figures(found, TOKENS)
        best = fastest(rates, _names(peers))
        self._judge("lognormal, binary", best, rates[OURS], rates[best], 1.2)
        self._judge("lognormal, binary, tokens", LIMIT, tokens[OURS], tokens[LIMIT], 0.7)
        order = sorted(peers, key=lambda s: statistics.median(rates[s.name]), reverse=True)
        return statistics.median(rates[best]), order[:2]

    def _json(self, peers: Sequence[Setting]) -> None:
        rates = figures(self._race((LOGNORMAL, JSON), peers), RATE)
        best = fastest(rates, _names(peers))
        self._judge("lognormal, JSON", best, rates[OURS], rates[best], 1.1)

    def _short(self, sweep: Sweep, peers: Sequence[str]) -> None:
        cell, wanted = (SHORT, JSON), {"mosec": 1.0, "litserve": 5.0}
        own = {peer: sweep.best([peer], cell, 2) for peer in peers}
        rates = figures(self._race(cell, [s for found in own.values() for s in found]), RATE)
        for peer, settings in own.items():
            best = fastest(rates, _names(settings))
            self._judge("32 tokens, JSON", best, rates[OURS], rates[best], wanted[peer])

    def _open(self, peers: Sequence[Setting], rate: float) -> None:
        own = self._lengths
        contenders = _with_ours(peers)
        found = open_race(self._loader, contenders, rate, own.tours, own.opened)
        self.measured["open loop"] = {"rate": round(rate, 1), "rounds": found}
        p99 = {name: [r["short"]["p99_ms"] for r in rounds] for name, rounds in found.items()}
        best = quickest(p99, _names(peers))
        row = "open loop, p99 up to 128 tokens"
        self._judge(row, best, p99[OURS], p99[best], 0.5, at_least=False)

    def _tour(
        self, singles: Sequence[Setting], usual: Sequence[Setting], expert: Sequence[Setting]
    ) -> None:
        own = self._lengths
        contenders = _with_ours([*singles, *usual, *expert])
        found = tour(self._loader, ROUND, contenders, own.tours, own.closed)
        self.measured["all mixes"] = {mix: by_name for (mix, _), by_name in found.items()}
        rates = {mix: figures(by_name, RATE) for (mix, _), by_name in found.items()}
        mean, lognormal = means(rates), rates[LOGNORMAL]
        best, least = fastest(mean, _names(singles)), fastest(mean, _names(usual))
        self._judge("geometric mean, best single setting", best, mean[OURS], mean[best], 1.3)
        self._judge("geometric mean, usual settings", least, mean[OURS], mean[least], 2.0)
        least = fastest(lognormal, _names(usual))
        row = "lognormal, binary, usual settings"
        self._judge(row, least, lognormal[OURS], lognormal[least], 4.0)

    def _long(self) -> None:
        found = one_long(self._limit, self._lengths.longs)
        self.measured["one long"] = {"tokens": LONG, "seconds": found}
        for wire, wanted in ((BINARY, 1.15), (JSON, 1.4)):
            row = f"{LONG:,} tokens, {wire}"
            self._judge(row, LIMIT, found[wire], found[LIMIT], wanted, at_least=False)

    def _race(
        self, cell: tuple[str, str], peers: Sequence[Setting], limit: Limit | None = None
    ) -> Found:
        own = self._lengths
        found = race(self._loader, cell, _with_ours(peers), own.rounds, own.closed, limit)
        self.measured[", ".join(cell)] = found
        return found

    def _judge(
        self,
        row: str,
        against: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        wanted: float,
        *,
        at_least: bool = True,
    ) -> None:
        found = verdict(row, against, ours, theirs, wanted, at_least=at_least)
        print(found)
        self.verdicts.append(found)


def _with_ours(settings: Iterable[Setting]) -> list[Contender]:
    return [Contender(), *map(Contender, dict.fromkeys(settings))]


def _names(settings: Sequence[Setting]) -> list[str]:
    return [setting.name for setting in settings]
