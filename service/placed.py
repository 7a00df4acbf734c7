"""What is served and where it runs, for a page of metrics: versions, their numerics, their devices,
and how much of what they run on is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.catalog import Catalog, Served
from service.device import Placement
from service.families import MODEL
from service.places import Places

PADDED = {"attention", "padded"}  # stages that have any


@runtime_checkable
class Runs(Protocol):
    """A session that can tell where it runs, and what its padded stages have run on."""

    placement: Placement
    places: Places


class Placed(Collector):
    """Of all that takes requests."""

    def __init__(self, catalog: Catalog, failing: Mapping[str, str]) -> None:
        """failing: ids of those whose golden inputs are not answered as they should be."""
        self._catalog, self._failing = catalog, failing

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks."""
        ready = GaugeMetricFamily(
            "sumserve_model_ready", "1 while its golden inputs are not in doubt", labels=MODEL
        )
        labels = (*MODEL, "verification", "device", "variant", "provider")
        info = GaugeMetricFamily(
            "sumserve_model_info",
            "1 for each version that is served: the hash of its verification, and where it runs",
            labels=labels,
        )
        for served in self._catalog:
            ready.add_metric(_named(served), float(served.id not in self._failing))
            info.add_metric([*_named(served), served.manifest.numerics, *_where(served)], 1)
        yield ready
        yield info
        yield from self._graphs()

    def _graphs(self) -> Iterator[Metric]:
        nodes = GaugeMetricFamily(
            "sumserve_model_nodes",
            "nodes of its graphs by where they run, on a GPU",
            labels=(*MODEL, "provider"),
        )
        places = CounterMetricFamily(
            "sumserve_places",
            "places in the groups of like length that attention and wrapped models run on, "
            "by what they hold",
            labels=(*MODEL, "holds"),
        )
        for served in self._catalog:
            session = served.session
            if not isinstance(session, Runs):
                continue
            for provider, count in session.placement.nodes.items():
                nodes.add_metric([*_named(served), provider], count)
            if PADDED & {stage.kind for stage in served.manifest.stages}:
                places.add_metric([*_named(served), "tokens"], session.places.tokens)
                places.add_metric([*_named(served), "padding"], session.places.padding)
        yield nodes
        yield places


def _named(served: Served) -> tuple[str, str]:
    return served.manifest.name, served.manifest.version


def _where(served: Served) -> tuple[str, str, str]:
    """Device, variant and provider; nothing, of what cannot tell."""
    session = served.session
    if not isinstance(session, Runs):
        return "", "", ""
    own = session.placement
    return own.device, own.variant, own.provider
