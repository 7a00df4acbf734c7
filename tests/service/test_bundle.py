from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from service.bundle import Bundle, open_named
from service.errors import BundleError
from service.graph import Options
from service.manifest import Manifest
from service.pack import Array, Pack
from service.repository.folder import Folder
from service.session import Session
from service.verification import check_golden

FILES = ["stage0.onnx", "stage1.onnx", "golden.npz", "verification.json"]


@pytest.fixture
def copy(bundles: Path, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(bundles / "plain" / "1", tmp_path / "plain" / "1"))


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def reseal(folder: Path) -> None:
    """Give an edited manifest its right digest."""
    found = Manifest.model_validate_json((folder / "bundle.json").read_bytes())
    edit_manifest(folder, digest=found.computed_digest())


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_found_and_its_file_named(copy: Path, file: str) -> None:
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / file).write_bytes(data)
    with pytest.raises(BundleError, match=f"{file}: corrupted"):
        Bundle.open(copy)


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_named(copy: Path, file: str) -> None:
    (copy / file).write_bytes((copy / file).read_bytes()[:-1])
    with pytest.raises(BundleError, match=f"{file}: corrupted"):
        Bundle.open(copy)


@pytest.mark.parametrize("file", ["bundle.json", *FILES])
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(BundleError, match=file):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "format"),
        ({"surplus": 1}, "surplus"),
        ({"files": {"../x": "0" * 64}}, "files"),
        ({"stages": [{"kind": "tokens", "file": "../../etc/passwd"}]}, "stages.0.tokens.file"),
        ({"min_length": -1}, "min_length"),
        ({"max_length": 3, "min_length": 4}, "max_length 3 is below min_length 4"),
        ({"tolerance": 9.0}, "tolerance"),
        ({"equivariant": False}, "corrupted, its digest"),
    ],
)
def test_a_bad_manifest_is_refused_naming_the_field(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    edit_manifest(copy, **changes)
    with pytest.raises(BundleError, match=rf"bundle\.json.*{message}"):
        Bundle.open(copy)


@pytest.mark.parametrize("file", ["golden.npz", "stage0.onnx"])
def test_a_manifest_vouches_for_every_file_that_is_read(copy: Path, file: str) -> None:
    files = json.loads((copy / "bundle.json").read_text())["files"]
    edit_manifest(copy, files={k: v for k, v in files.items() if k != file})
    reseal(copy)
    with pytest.raises(BundleError, match=f"no SHA-256 for {file}"):
        Bundle.open(copy)


def test_labels_and_width_must_agree(bundles: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundles / "stack" / "1", tmp_path / "stack" / "1"))
    outputs = json.loads((copy / "bundle.json").read_text())["outputs"]
    edit_manifest(copy, outputs=[{**outputs[0], "labels": ["a", "b"]}])
    with pytest.raises(BundleError, match="2 labels for a width of 4"):
        Bundle.open(copy)


def test_a_manifest_that_is_not_json_is_refused(copy: Path) -> None:
    (copy / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(copy)


def test_a_bundle_must_lie_where_its_manifest_says(copy: Path) -> None:
    assert open_named(copy).manifest.name == "plain"
    moved = copy.rename(copy.parent / "2")
    with pytest.raises(BundleError, match=r"is plain/1 and lies in plain/2"):
        open_named(moved)


def test_a_version_without_its_manifest_is_not_passed_over(copy: Path) -> None:
    (copy / "bundle.json").unlink()
    folder = Folder(copy.parents[1]).models()["plain"]["1"]
    with pytest.raises(BundleError, match=r"plain/1/bundle\.json"):
        open_named(folder)


def test_golden_data_catch_a_session_that_answers_otherwise(plain: Bundle) -> None:
    class Off(Session):
        def run(self, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
            found = super().run(pack, slice_tokens)
            return {name: rows + np.float32(1e-3) for name, rows in found.items()}

    assert check_golden(plain, Session(plain, Options())) <= plain.manifest.tolerance
    with pytest.raises(BundleError, match=r"golden output 'y' of sequence \d is missed by"):
        check_golden(plain, Off(plain, Options()))
