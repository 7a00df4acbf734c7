"""Ways to harm a bundle, each vouched for with right hashes where an attacker could."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.bundle import MOST_BYTES
from service.manifest import digest_of

Harm = Callable[[Path], None]


def manifest_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "bundle.json").read_text())
    return found


def vouch(folder: Path, **changes: object) -> None:
    """Write the manifest with changes, and hashes and digest as right as an attacker would."""
    values = manifest_of(folder) | changes
    files = values["files"]
    assert isinstance(files, dict)
    for name in files:
        if (folder / name).is_file():
            files[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    values["digest"] = digest_of(values)
    (folder / "bundle.json").write_text(json.dumps(values))


def graph(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Rewrite the first stage, vouched for."""
    model = onnx.load(folder / "stage0.onnx")
    change(model)
    (folder / "stage0.onnx").write_bytes(model.SerializeToString())
    vouch(folder)


def traversal(folder: Path) -> None:
    vouch(folder, files={"../../secret": "0" * 64})


def link(folder: Path) -> None:
    (folder / "stage0.onnx").rename(folder.parent / "elsewhere")
    (folder / "stage0.onnx").symlink_to(folder.parent / "elsewhere")


def linked_folder(folder: Path) -> None:
    folder.rename(folder.parent / "real")
    folder.symlink_to(folder.parent / "real")


def swapped(folder: Path) -> None:
    one, two = folder / "stage0.onnx", folder / "stage1.onnx"
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)


def swapped_and_vouched(folder: Path) -> None:
    swapped(folder)
    vouch(folder)


def pipe(folder: Path) -> None:
    (folder / "golden.npz").unlink()
    os.mkfifo(folder / "golden.npz")


def huge_manifest(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b" " * (MOST_BYTES["bundle.json"] + 1))


def deep_manifest(folder: Path) -> None:
    (folder / "bundle.json").write_text("[" * 100_000)


def huge_summary(folder: Path) -> None:
    stages = manifest_of(folder)["stages"]
    assert isinstance(stages, list)
    stages[0]["summaries"][0]["fields"]["sum"]["shape"] = [65_536, 65_536]
    vouch(folder, stages=stages)


def huge_tensor(folder: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[0] = 2**40

    graph(folder, change)


def truncated(folder: Path) -> None:
    data = (folder / "stage0.onnx").read_bytes()
    (folder / "stage0.onnx").write_bytes(data[: len(data) // 2])
    vouch(folder)


def no_graph(folder: Path) -> None:
    (folder / "stage0.onnx").write_bytes(b"MZ" + bytes(100))
    vouch(folder)


def outside_data(folder: Path) -> None:
    """Weights that are said to lie in a file of the host's."""

    def change(model: onnx.ModelProto) -> None:
        weights = model.graph.initializer[0]
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "pyproject.toml"

    graph(folder, change)


def unknown_input(folder: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        surplus = helper.make_tensor_value_info("secrets", TensorProto.FLOAT, ["n"])
        model.graph.input.append(surplus)
        model.graph.node.append(helper.make_node("Identity", ["secrets"], ["out"]))
        model.graph.output.append(helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n"]))

    graph(folder, change)


def zip_bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("lengths.npy", bytes(MOST_BYTES["golden.npz"] + 1))
    vouch(folder)


def pickled(folder: Path) -> None:
    with np.load(folder / "golden.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    buffer = io.BytesIO()
    np.savez(buffer, **kept | {"column.x": np.array([{"run": "me"}], dtype=object)})
    (folder / "golden.npz").write_bytes(buffer.getvalue())
    vouch(folder)


def lengths_of_more(folder: Path) -> None:
    """Golden sequences that would be longer than all tokens there are."""
    with np.load(folder / "golden.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    np.savez(folder / "golden.npz", **kept | {"lengths": kept["lengths"] * 10**9})
    vouch(folder)


def broken_zip(folder: Path) -> None:
    data = bytearray((folder / "golden.npz").read_bytes())
    data[60:90] = bytes(30)
    (folder / "golden.npz").write_bytes(data)
    vouch(folder)


def many_summaries(folder: Path) -> None:
    stages = manifest_of(folder)["stages"]
    assert isinstance(stages, list)
    (summary,) = stages[0]["summaries"]
    summary["fields"]["sum"]["shape"] = [2048, 1024]
    stages[0]["summaries"] = [summary | {"name": f"block.{i}"} for i in range(100)]
    vouch(folder, stages=stages)


def unlisted_variant(folder: Path) -> None:
    files = [stage["file"] for stage in manifest_of(folder)["stages"]]  # type: ignore[attr-defined]
    variant = {"name": "int8", "files": [*files[:-1], "other.onnx"], "size": 1, "error": 0.1}
    (folder / "other.onnx").write_bytes(b"")
    vouch(folder, variants=[variant | {"speed": 1.0}])


def forged_words(folder: Path) -> None:
    own = manifest_of(folder)["architecture"]
    assert isinstance(own, dict)
    vouch(folder, architecture=own | {"name": "sumformer\nproof all is well"})


def wrong_hash(folder: Path) -> None:
    files = manifest_of(folder)["files"]
    assert isinstance(files, dict)
    values = manifest_of(folder) | {"files": {**files, "stage0.onnx": "0" * 64}}
    values["digest"] = digest_of(values)
    (folder / "bundle.json").write_text(json.dumps(values))


def future(folder: Path) -> None:
    values = manifest_of(folder) | {"format": 99, "something": "new"}
    (folder / "bundle.json").write_text(json.dumps(values))


HARMS: list[tuple[Harm, str]] = [
    (traversal, r"bundle\.json: files"),
    (link, r"stage0\.onnx: is a link"),
    (linked_folder, r"plain/1: is a link"),
    (swapped, r"stage0\.onnx: corrupted"),
    (swapped_and_vouched, r"cannot run its golden inputs"),
    (pipe, r"golden\.npz: is no plain file"),
    (huge_manifest, r"bundle\.json: \d+ bytes, the limit is"),
    (deep_manifest, r"bundle\.json: "),
    (huge_summary, r"numbers per sequence, the limit is"),
    (huge_tensor, r"stage0\.onnx: onnxruntime refuses it"),
    (truncated, r"stage0\.onnx: onnxruntime refuses it"),
    (no_graph, r"stage0\.onnx: onnxruntime refuses it"),
    (outside_data, r"stage0\.onnx: onnxruntime refuses it"),
    (unknown_input, r"cannot run its golden inputs: KeyError: 'secrets'"),
    (zip_bomb, r"golden\.npz: .*unpacks to more than"),
    (pickled, r"golden\.npz: .*allow_pickle"),
    (lengths_of_more, r"golden\.npz: .*different lengths"),
    (broken_zip, r"golden\.npz: "),
    (many_summaries, r"summaries of more than"),
    (unlisted_variant, r"no SHA-256 for other\.onnx"),
    (forged_words, r"architecture\.name"),
    (wrong_hash, r"stage0\.onnx: corrupted"),
    (future, r"bundle\.json: format 99; this sumserve reads format 2"),
]
