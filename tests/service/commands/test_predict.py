from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle import Bundle
from service.cli import main
from service.graph import Options
from service.pack import Pack
from service.session import Session


def predict(
    capsysbinary: pytest.CaptureFixture[bytes], *argv: str
) -> tuple[int, list[dict[str, Any]], str]:
    code = main(["predict", *argv])
    out, err = capsysbinary.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


def test_every_line_is_answered_in_order_whatever_the_step(
    bundles: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = bundles / "plain" / "1"
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(n, 3)).astype(np.float32) for n in (3, 0, 40, 1, 25)]
    lines = tmp_path / "sets.jsonl"
    lines.write_text("\n".join(json.dumps(s.tolist()) for s in sequences) + "\n\n")
    bundle = Bundle.open(folder)
    pack = Pack.of("x", sequences)
    wanted = pack.split(Session(bundle, Options()).run(pack)["y"])
    for step in ("1", "30", "10000"):
        code, found, _ = predict(capsysbinary, str(folder), str(lines), "--step-tokens", step)
        assert code == 0
        for line, rows in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.reshape(line["output"], rows.shape), rows, rtol=1e-6)


def test_a_classifier_adds_a_label_to_each_line(
    bundles: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"[[1,2,3]]\n[[4,5,6],[7,8,9]]\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, found, _ = predict(capsysbinary, str(bundles / "stack" / "1"), "-")
    assert code == 0
    assert all(set(line) == {"output", "label", "probabilities"} for line in found)


def test_a_bad_line_is_named_after_those_before_it_are_answered(
    bundles: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = tmp_path / "sets.jsonl"
    lines.write_text("[1,2]\n[3]\n[1,77]\n[4]\n")
    code, found, err = predict(capsysbinary, str(bundles / "ids" / "1"), str(lines))
    assert (code, len(found)) == (1, 2)
    assert "line 3" in err
    assert "id 77 is outside 1..5" in err


@pytest.mark.parametrize("line", ["[1],[2]", "[1]],[[2]", "", "[1] [2]"])
def test_a_line_holds_one_sequence(
    line: str, bundles: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = tmp_path / "sets.jsonl"
    lines.write_text(f"[1,2]\n{line}\n[3]\n")
    code, found, err = predict(capsysbinary, str(bundles / "ids" / "1"), str(lines))
    assert (code, len(found), "line 2" in err) == ((0, 2, False) if not line else (1, 1, True))


def test_an_answer_that_is_not_finite_is_named_by_its_line(
    bundles: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = tmp_path / "sets.jsonl"
    lines.write_text("[[1,2,3]]\n\n[[3e38,3e38,3e38]]\n")
    code, found, err = predict(capsysbinary, str(bundles / "plain" / "1"), str(lines))
    assert (code, len(found)) == (1, 1)
    assert "line 3" in err


def test_a_missing_file_is_named(bundles: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    code, _, err = predict(capsysbinary, str(bundles / "ids" / "1"), "nowhere.jsonl")
    assert (code, "nowhere.jsonl" in err) == (1, True)
