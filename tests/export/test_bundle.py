from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import bundle as exporting
from export.bundle import ExportError, export
from export.cases import QUICK
from export.onnx_graph import to_onnx
from export.stages import Stage, Values
from export.verification import VerificationError
from models.pools import SumPool
from service.bundle import Bundle
from tests.conftest import CONFIGS, ROOT, small_checkpoint
from tests.export.test_verification import LEAST


def everything(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*")}


@pytest.mark.parametrize("name", CONFIGS)
def test_manifest_says_what_the_config_says(name: str, bundles: Path) -> None:
    manifest, config = Bundle.open(bundles / name / "1").manifest, CONFIGS[name]
    shape = config.signature
    assert (manifest.name, manifest.version) == (name, "1")
    column = shape.columns[0].model_dump()
    assert manifest.columns[0].model_dump(exclude={"dtype"}) == column
    assert manifest.outputs[0].per == shape.outputs[0].per
    assert (manifest.min_length, manifest.max_length) == (shape.min_length, shape.max_length)
    assert manifest.architecture.layers == len(config.blocks)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_proof_is_recorded_and_can_be_read(name: str, bundles: Path) -> None:
    folder = bundles / name / "1"
    proof = json.loads((folder / "verification.json").read_text())
    cases = {case["case"]: case for case in proof["cases"]}
    longest = CONFIGS[name].signature.max_length or QUICK.longest
    assert cases[f"one of {longest:,}"]["tokens"] == longest
    assert ("empty among others" in cases) == (CONFIGS[name].signature.min_length == 0)
    assert proof["same_answers_with_threads"] == [1, 2]
    for case in cases.values():
        assert case["different"] == 0 < case["tried"]
        assert case["error"] <= case["allowed"]
    page = (folder / "verification.md").read_text()
    assert all(f"| {case} |" in page for case in cases)
    assert (folder / "verification.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_card_goes_along(tmp_path: Path) -> None:
    folder = export(small_checkpoint("pooled"), tmp_path, "1", effort=LEAST, card="# About me")
    assert (folder / "model_card.md").read_text() == "# About me"
    assert "model_card.md" in Bundle.open(folder).manifest.files


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bundle_tells_nothing_of_the_machine_it_was_made_on(name: str, bundles: Path) -> None:
    for file in (bundles / name / "1").iterdir():
        data = file.read_bytes()
        assert str(ROOT).encode() not in data, file
        assert b"site-packages" not in data, file


def test_an_existing_version_is_kept_unless_forced(tmp_path: Path) -> None:
    checkpoint = small_checkpoint("pooled")
    folder = export(checkpoint, tmp_path, "1", effort=LEAST)
    (folder / "mark").touch()
    with pytest.raises(ExportError, match="exists"):
        export(checkpoint, tmp_path, "1", effort=LEAST)
    assert (folder / "mark").exists()
    export(checkpoint, tmp_path, "1", effort=LEAST, force=True)
    assert not (folder / "mark").exists()


def test_a_graph_that_is_not_the_model_leaves_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph forgets to count n b, the bias that the sum takes n times."""
    whole = SumPool.finish
    real = to_onnx

    def wrong_onnx(stage: Stage, given: Values) -> tuple[bytes, Values]:
        with monkeypatch.context() as patch:
            patch.setattr(SumPool, "finish", lambda pool, total, n: whole(pool, total, n * 0))
            return real(stage, given)

    monkeypatch.setattr(exporting, "to_onnx", wrong_onnx)
    with pytest.raises(VerificationError, match="every length to 100"):
        export(small_checkpoint("pooled"), tmp_path, "1", effort=LEAST)
    assert everything(tmp_path) == set()


def test_a_crash_leaves_the_forced_version_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = small_checkpoint("pooled")
    export(checkpoint, tmp_path, "1", effort=LEAST)
    before = everything(tmp_path)

    def crash(*_: object) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(exporting, "Verifier", crash)
    with pytest.raises(RuntimeError, match="disk on fire"):
        export(checkpoint, tmp_path, "1", effort=LEAST, force=True)
    assert everything(tmp_path) == before
