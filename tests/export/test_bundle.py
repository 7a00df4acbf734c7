from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import bundle as exporting
from export.bundle import ExportError, export
from export.onnx_graph import to_onnx
from export.verification import VerificationError
from models.pools import SumPool
from service.bundle import Bundle
from tests.conftest import CONFIGS, ROOT, small_checkpoint


def everything(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*")}


@pytest.mark.parametrize("name", CONFIGS)
def test_manifest_says_what_the_config_says(name: str, bundles: Path) -> None:
    manifest, config = Bundle.open(bundles / name / "1").manifest, CONFIGS[name]
    shape = config.signature
    assert (manifest.name, manifest.version) == (name, "1")
    column = shape.columns[0].model_dump(exclude={"unknown", "labels"})
    assert manifest.columns[0].model_dump(exclude={"dtype"}) == column
    assert manifest.outputs[0].per == shape.outputs[0].per
    assert (manifest.min_length, manifest.max_length) == (shape.min_length, shape.max_length)
    assert manifest.architecture.layers == len(config.blocks)


@pytest.mark.parametrize("name", CONFIGS)
def test_verification_is_recorded_and_isolation_is_bitwise(name: str, bundles: Path) -> None:
    proof = json.loads((bundles / name / "1" / "verification.json").read_text())
    cases = {case["case"]: case for case in proof["cases"]}
    assert "wildly mixed" in cases
    assert ("empty" in cases) == (CONFIGS[name].signature.min_length == 0)
    longest = CONFIGS[name].signature.max_length or 200_000
    assert cases["one long sequence"]["tokens"] == longest
    for case in cases.values():
        assert case["alone"] == case["alone_equal"] > 0
        assert case["repeat_error"] == 0
        assert case["reference_error"] <= proof["tolerance"]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bundle_tells_nothing_of_the_machine_it_was_made_on(name: str, bundles: Path) -> None:
    for file in (bundles / name / "1").iterdir():
        data = file.read_bytes()
        assert str(ROOT).encode() not in data, file
        assert b"site-packages" not in data, file


def test_an_existing_version_is_kept_unless_forced(tmp_path: Path) -> None:
    checkpoint = small_checkpoint("pooled")
    folder = export(checkpoint, tmp_path, "1")
    (folder / "mark").touch()
    with pytest.raises(ExportError, match="exists"):
        export(checkpoint, tmp_path, "1")
    assert (folder / "mark").exists()
    export(checkpoint, tmp_path, "1", force=True)
    assert not (folder / "mark").exists()


def test_a_graph_that_is_not_the_model_leaves_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph forgets to count n b, the bias that the sum takes n times."""
    whole = SumPool.finish
    real = to_onnx

    def wrong_onnx(stage: object) -> bytes:
        with monkeypatch.context() as patch:
            patch.setattr(SumPool, "finish", lambda pool, total, n: whole(pool, total, n * 0))
            return real(stage)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "to_onnx", wrong_onnx)
    with pytest.raises(VerificationError, match="one token"):
        export(small_checkpoint("pooled"), tmp_path, "1")
    assert everything(tmp_path) == set()


def test_a_crash_leaves_the_forced_version_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = small_checkpoint("pooled")
    export(checkpoint, tmp_path, "1")
    before = everything(tmp_path)

    def crash(*_: object) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(exporting, "_write_proof", crash)
    with pytest.raises(RuntimeError, match="disk on fire"):
        export(checkpoint, tmp_path, "1", force=True)
    assert everything(tmp_path) == before
