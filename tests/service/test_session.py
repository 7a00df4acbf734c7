from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.bundle import Bundle
from service.errors import BadRequest, BundleError, DeviceError
from service.graph import Options
from service.manifest import IdsColumn, VectorColumn
from service.pack import Array, Pack
from service.runtime import onnxruntime
from service.session import Session
from tests.conftest import CONFIGS, SHIPPED

PROVIDERS = onnxruntime().get_available_providers()
LENGTHS = [1, 16, 200, 17, 0, 3, 64, 1, 31]


def draw(bundle: Bundle, lengths: list[int], seed: int = 0) -> list[Array]:
    rng, column = np.random.default_rng(seed), bundle.manifest.columns[0]
    lengths = [max(n, bundle.manifest.min_length) for n in lengths]
    if isinstance(column, IdsColumn):
        return [rng.integers(column.low, column.high + 1, n) for n in lengths]
    assert isinstance(column, VectorColumn)
    return [rng.normal(size=(n, column.width)).astype(np.float32) for n in lengths]


def answers(session: Session, sequences: list[Array]) -> list[Array]:
    output = session.manifest.outputs[0]
    pack = Pack.of(session.manifest.columns[0].name, sequences)
    return pack.per_sequence(session.run(pack)[output.name], output.per)


@pytest.mark.parametrize("name", CONFIGS)
def test_alone_equals_packed_to_the_last_bit(name: str, bundles: Path) -> None:
    bundle = Bundle.open(bundles / name / "1")
    session = Session(bundle, Options())
    sequences = draw(bundle, LENGTHS)
    for found, sequence in zip(answers(session, sequences), sequences, strict=True):
        np.testing.assert_array_equal(found, answers(session, [sequence])[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_no_length_is_answered_otherwise_in_a_pack(name: str, bundles: Path) -> None:
    """Every length from 1 to 300: a kernel may round the tail of a tensor otherwise."""
    bundle = Bundle.open(bundles / name / "1")
    session = Session(bundle, Options())
    sequences = draw(bundle, list(range(1, 301)))
    for found, sequence in zip(answers(session, sequences), sequences, strict=True):
        np.testing.assert_array_equal(found, answers(session, [sequence])[0])


THREADED = """
import hashlib, sys
from pathlib import Path
from service.bundle import Bundle
from service.runtime import Threads
from service.graph import Options
from service.session import Session
from tests.service.test_session import LENGTHS, answers, draw
Threads.start(int(sys.argv[1]))
bundle = Bundle.open(Path(sys.argv[2]))
found = answers(Session(bundle, Options()), draw(bundle, LENGTHS * 40))
print(hashlib.sha256(b"".join(a.tobytes() for a in found)).hexdigest())
"""


@pytest.mark.parametrize("name", ["plain", "stack"])
def test_the_number_of_threads_changes_no_bit(name: str, bundles: Path) -> None:
    """In processes of their own: a process has one pool of threads."""
    found = []
    for threads in ("1", "2", "3"):
        command = [sys.executable, "-c", THREADED, threads, str(bundles / name / "1")]
        found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(set(found)) == 1


@pytest.mark.parametrize("slice_tokens", [1, 16, 50, 10**6])
@pytest.mark.parametrize("name", CONFIGS)
def test_slicing_changes_no_bit(name: str, slice_tokens: int, bundles: Path) -> None:
    bundle = Bundle.open(bundles / name / "1")
    sequences = draw(bundle, LENGTHS)
    wanted = answers(Session(bundle, Options()), sequences)
    found = answers(Session(bundle, Options(slice_tokens=slice_tokens)), sequences)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["plain", "ids", "pooled"])
def test_a_pack_of_only_empty_sequences_runs(name: str, bundles: Path) -> None:
    bundle = Bundle.open(bundles / name / "1")
    found = answers(Session(bundle, Options()), draw(bundle, [0, 0]))
    output = bundle.manifest.outputs[0]
    shape = (0, output.width) if output.per == "token" else (output.width,)
    assert [a.shape for a in found] == [shape, shape]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("ids", np.array([1, 0, 3]), "ids, token 1: id 0 is outside 1..5"),
        ("ids", np.ones(301, np.int64), "sequence 0: 301 tokens, the maximum is 300"),
        ("stack", np.zeros((0, 3), np.float32), "sequence 0: 0 tokens, the minimum is 1"),
    ],
)
def test_what_a_graph_would_answer_wrongly_is_refused(
    name: str, values: Array, message: str, bundles: Path
) -> None:
    bundle = Bundle.open(bundles / name / "1")
    pack = Pack.of(bundle.manifest.columns[0].name, [values])
    with pytest.raises(BadRequest, match=message):
        Session(bundle, Options()).run(pack)


def test_a_file_that_is_no_graph_is_named(plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "read", lambda self, name: b"not a graph")
    with pytest.raises(BundleError, match=r"stage0\.onnx"):
        Session(plain, Options())


@pytest.mark.skipif(
    "CUDAExecutionProvider" in PROVIDERS,
    reason="a CUDA device is present",
)
def test_a_device_that_is_not_there_is_refused_not_replaced(plain: Bundle) -> None:
    with pytest.raises(DeviceError, match="cuda"):
        Session(plain, Options(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in PROVIDERS,
    reason="did NOT run: needs a CUDA device and onnxruntime-gpu",
)
@pytest.mark.parametrize("name", ["digits", "polynomial", "digit_sum"])
def test_cuda_answers_what_the_cpu_answers(name: str) -> None:
    bundle = Bundle.open(SHIPPED / name / "1")
    sequences = draw(bundle, LENGTHS)
    found = answers(Session(bundle, Options(device="cuda")), sequences)
    for a, b in zip(found, answers(Session(bundle, Options()), sequences), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_serving_imports_neither_torch_nor_training() -> None:
    code = (
        "import sys, service.server, service.commands.predict, service.commands.verify\n"
        "heavy = {'torch', 'onnx', 'onnxscript', 'sklearn', 'models', 'export', 'onnxruntime'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_that_is_stopped_and_goes_on_gives_the_same_bits(name: str, bundles: Path) -> None:
    bundle = Bundle.open(bundles / name / "1")
    session = Session(bundle, Options(slice_tokens=48))
    column, sequences = bundle.manifest.columns[0].name, draw(bundle, LENGTHS)
    pack, other = Pack.of(column, sequences), Pack.of(column, sequences[:3])
    wanted, run, advanced = session.run(pack), session.start(pack), 0
    while not run.done:
        advanced += run.advance(60)
        session.run(other)  # something else in between
    for output, rows in wanted.items():
        np.testing.assert_array_equal(run.outputs[output], rows)
    stages = [stage for stage in bundle.manifest.stages if stage.kind == "tokens"]
    assert advanced == pack.tokens * len(stages)


def test_a_session_that_is_stopped_raises_until_it_may_go_on(plain: Bundle) -> None:
    session, pack = Session(plain, Options()), Pack.of("x", [np.zeros((40, 3), np.float32)])
    before = session.run(pack)["y"]
    session.stop()
    with pytest.raises(Exception, match="terminate"):
        session.run(pack)
    session.stop(now=False)
    np.testing.assert_array_equal(session.run(pack)["y"], before)
