from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from service.catalog import Catalog, Served
from service.device import Placement
from service.manifest import AttentionStage
from service.placed import Placed
from service.places import Places
from tests.service.fakes import Summing, manifest

ATTENTION = AttentionStage(file="none.onnx", heads=1, unpadded=False)


class OnGpu(Summing):
    """A session that tells where it runs."""

    placement = Placement("cuda:1", "fp16", "CUDAExecutionProvider", {"CUDA": 40, "CPU": 2})
    places = Places(tokens=30, padding=10)


def registry(*sessions: Summing) -> CollectorRegistry:
    catalog, made = Catalog({}), CollectorRegistry()
    for session in sessions:
        catalog.add(Served(session))
    made.register(Placed(catalog, {}))
    return made


def value(found: CollectorRegistry, name: str, **labels: str) -> Any:
    return found.get_sample_value(name, {"model": "m", "version": "3", **labels})


def test_a_session_tells_its_device_its_nodes_and_its_padding() -> None:
    found = registry(OnGpu(manifest("m").model_copy(update={"stages": (ATTENTION,)})))
    where = {"device": "cuda:1", "variant": "fp16", "provider": "CUDAExecutionProvider"}
    assert value(found, "sumserve_model_info", verification="unverified", **where) == 1
    assert value(found, "sumserve_model_nodes", provider="CUDA") == 40
    assert value(found, "sumserve_model_nodes", provider="CPU") == 2
    assert value(found, "sumserve_places_total", holds="tokens") == 30
    assert value(found, "sumserve_places_total", holds="padding") == 10


def test_packed_stages_say_nothing_of_padding() -> None:
    found = registry(OnGpu(manifest("m")))
    assert value(found, "sumserve_model_ready") == 1
    assert value(found, "sumserve_places_total", holds="padding") is None


def test_a_session_that_cannot_tell_is_told_of_all_the_same() -> None:
    found = registry(Summing(manifest("m")))
    nowhere = dict.fromkeys(("device", "variant", "provider"), "")
    assert value(found, "sumserve_model_info", verification="unverified", **nowhere) == 1
