"""Opening and running graphs on a GPU, with an onnxruntime that only writes down what it is told,
and with the real one, whose CPU stands for the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.bundle import Bundle
from service.device import PROVIDERS, Device
from service.errors import BundleError, DeviceError
from service.graph import Options, ResidentGraph, _check_placement, open_graph
from service.pack import Array
from service.runtime import Threads, onnxruntime
from service.session import Session
from service.verification import check_golden
from tests.conftest import CONFIGS, SHIPPED
from tests.service.test_device import Assigned, Node
from tests.service.test_session import LENGTHS, answers, draw

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
HAS_CUDA = CUDA in onnxruntime().get_available_providers()


@dataclass
class Runtime:
    """onnxruntime as far as a graph sees it; ``told`` is every call, in order."""

    available: Sequence[str] = (CUDA, CPU)
    got: Sequence[str] = (CUDA, CPU)
    assigned: Sequence[Assigned] = ()
    refuses: str = ""
    missing: str = ""
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def get_available_providers(self) -> list[str]:
        return list(self.available)

    def preload_dlls(self) -> None:
        self.told.append(("preload",))
        if self.missing:
            print(f"Failed to load {self.missing}\nPlease follow a link")

    def SessionOptions(self) -> Any:  # noqa: N802
        def entry(key: str, value: str) -> None:
            self.told.append(("config", key, value))

        return SimpleNamespace(add_session_config_entry=entry)

    def RunOptions(self) -> Any:  # noqa: N802
        return SimpleNamespace(terminate=False)

    def InferenceSession(self, graph: bytes, options: Any, **kwargs: Any) -> Any:  # noqa: N802
        self.told.append(("open", kwargs["providers"], kwargs["enable_fallback"]))
        if self.refuses:
            raise RuntimeError(self.refuses)
        return SimpleNamespace(
            get_inputs=lambda: [_named("hidden"), _named("owner")],
            get_outputs=lambda: [_named("next:hidden"), _named("output:y"), _named("part:s:sum")],
            get_providers=lambda: list(self.got),
            get_provider_graph_assignment_info=lambda: self.assigned,
            io_binding=self.io_binding,
            run_with_iobinding=lambda bound, options: self.told.append(("run",)),
        )

    def io_binding(self) -> Any:
        def tell(what: str) -> Any:
            return lambda *args: self.told.append((what, *args))

        values = [_value("hidden"), _value("y"), _value("sum")]
        return SimpleNamespace(
            bind_cpu_input=lambda name, value: self.told.append(("up", name)),
            bind_ortvalue_input=tell("there"),
            bind_output=tell("out"),
            get_outputs=lambda: values,
        )


def _named(name: str) -> Any:
    return SimpleNamespace(name=name, shape=["tokens"])


def _value(name: str) -> Any:
    return SimpleNamespace(name=name, numpy=lambda: np.ones(3))


class AnyFiles:
    folder = Path("some/1")

    def read(self, name: str) -> bytes:
        return b"a graph"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    Threads.start()
    made = Runtime()
    monkeypatch.setattr("service.graph.onnxruntime", lambda: made)
    monkeypatch.setattr("service.runtime.onnxruntime", lambda: made)
    return made


def opened(device: str = "cuda:1") -> Any:
    return open_graph(AnyFiles(), "stage0.onnx", Options(device))


def test_a_graph_is_opened_on_the_gpu_that_was_asked_for(runtime: Runtime) -> None:
    opened("cuda:1")
    (providers, fallback), *_ = [call[1:] for call in runtime.told if call[0] == "open"]
    assert providers == [(CUDA, Device("cuda", 1).provider_options())]
    assert not fallback
    assert ("config", "session.record_ep_graph_assignment_info", "1") in runtime.told
    assert runtime.told[0] == ("preload",)


def test_without_the_provider_it_is_refused(runtime: Runtime) -> None:
    runtime.available = [CPU]
    with pytest.raises(DeviceError, match="cuda:1 was asked for; onnxruntime has CPUExecution"):
        opened()


def test_falling_back_to_the_cpu_is_refused_with_the_reason(runtime: Runtime) -> None:
    runtime.got, runtime.missing = [CPU], "libcudnn.so.9: no such file"
    with pytest.raises(DeviceError, match=r"has CPUExecutionProvider: Failed to load libcudnn"):
        opened()


def test_a_misplaced_node_is_refused_and_named(runtime: Runtime) -> None:
    nodes = [Node(f"sort_{i}", "TopK") for i in range(7)]
    runtime.assigned = [Assigned(CUDA, [Node("map", "Gemm")]), Assigned(CPU, nodes)]
    with pytest.raises(DeviceError, match=r"some/1/stage0\.onnx: .* cuda:1: sort_0 \(TopK, CPU"):
        opened()
    with pytest.raises(DeviceError, match="and 2 more"):
        opened()


def test_what_onnxruntime_refuses_is_the_devices_fault_or_the_bundles(runtime: Runtime) -> None:
    runtime.refuses = "invalid device ordinal\nand a stack trace"
    with pytest.raises(DeviceError, match=r"refuses it on cuda:1: invalid device ordinal$"):
        opened()
    with pytest.raises(BundleError, match="refuses it on cpu"):
        opened("cpu")


def test_what_other_graphs_read_stays_and_answers_come_down(runtime: Runtime) -> None:
    graph = opened("cuda:1")
    runtime.told.clear()
    resident = _value("before")
    found = graph.run({"hidden": resident, "owner": np.arange(3), "unread": np.arange(9)})
    assert runtime.told == [
        ("there", "hidden", resident),
        ("up", "owner"),
        ("out", "next:hidden", "cuda", 1),
        ("out", "output:y", "cpu", 0),
        ("out", "part:s:sum", "cuda", 1),
        ("run",),
    ]
    assert found["next:hidden"].name == "hidden"
    assert found["part:s:sum"].name == "sum"
    np.testing.assert_array_equal(found["output:y"], np.ones(3))


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime's CPU provider is treated as a GPU: binding, placement and sums are real."""
    monkeypatch.setattr(Device, "is_gpu", True)


@pytest.mark.parametrize("name", CONFIGS)
def test_bound_graphs_answer_what_the_others_do(name: str, bundles: Path, as_gpu: None) -> None:
    bundle = Bundle.open(bundles / name / "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Device, "is_gpu", False)
        wanted = _answers(bundle)
    session = Session(bundle, Options(slice_tokens=48))
    assert all(isinstance(graph, ResidentGraph) for graph in session.graphs)
    for found, own in zip(answers(session, draw(bundle, LENGTHS)), wanted, strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-6, atol=1e-6)


def _answers(bundle: Bundle) -> list[Array]:
    return answers(Session(bundle, Options(slice_tokens=48)), draw(bundle, LENGTHS))


@pytest.mark.parametrize("name", ["digits", "polynomial", "digit_sum"])
def test_bound_graphs_pass_golden_tests(name: str, as_gpu: None) -> None:
    bundle = Bundle.open(SHIPPED / name / "1")
    assert check_golden(bundle, Session(bundle, Options())) <= bundle.manifest.tolerance


def test_nodes_of_a_real_session_are_told_apart(
    plain: Bundle, as_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real onnxruntime, asked for a GPU's nodes where all run on the CPU."""
    session = Session(plain, Options()).graphs[0]._ort
    monkeypatch.setitem(PROVIDERS, "cpu", CUDA)
    with pytest.raises(DeviceError, match=r"runs on cpu:0: .*Gemm, CPUExecutionProvider"):
        _check_placement(session, "stage0.onnx", Device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="did NOT run: needs a CUDA device and onnxruntime-gpu")
@pytest.mark.parametrize("name", ["digits", "polynomial", "digit_sum"])
def test_every_node_runs_on_the_gpu_and_answers_are_golden(name: str) -> None:
    bundle = Bundle.open(SHIPPED / name / "1")
    for variant in ("fp32", *(v.name for v in bundle.manifest.variants if v.name == "fp16")):
        session = Session(bundle, Options("cuda", variant))
        assert check_golden(bundle, session) <= session.tolerance


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="did NOT run: needs a CUDA device and onnxruntime-gpu")
def test_a_gpu_that_is_not_there_is_refused(plain: Bundle) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        Session(plain, Options("cuda:99"))
