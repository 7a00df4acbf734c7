from __future__ import annotations

from pathlib import Path

import pytest

from service.bundle import Bundle
from service.cli import main
from service.inspection import memory, page
from service.manifest import (
    AttentionStage,
    IdsColumn,
    Manifest,
    NumericColumn,
    PaddedInput,
    PaddedOutput,
    PaddedStage,
    TimeColumn,
    TokenStage,
    Variant,
)
from tests.service.fakes import manifest


def told(own: Manifest) -> dict[str, list[str]]:
    """What each word of a page says."""
    found: dict[str, list[str]] = {}
    for line in page(own)[1:]:
        found.setdefault(line.split()[0], []).append(line.split(None, 1)[1])
    return found


def changed(**changes: object) -> Manifest:
    return manifest("m").model_copy(update=changes)


def test_a_bundle_is_told_on_a_page(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundles / "stack" / "1")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("stack/1: sumformer, 2 layers, ")
    assert "x: 3 numbers per token" in text
    assert "y: 4 logits per sequence (a, b, c, d)" in text
    assert "3 passes, 32 bytes per token are kept between them; summaries of 18 numbers" in text
    assert "stage2.onnx: tokens, in slices -> head.y (add, 6 numbers)" in text
    assert "the same to the last bit on a CPU" in text


def test_work_is_counted_per_token(bundles: Path) -> None:
    own = Bundle.open(bundles / "pooled" / "1").manifest
    # phi 2 -> 12 -> 6 per token, rho 6 -> 3 once
    assert 2 * (2 * 12) <= own.flops_per_token <= 2 * (2 * 12 + 12 * 6 + 1)


def test_the_manifest_itself_can_be_had(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundles / "plain" / "1"), "--json"]) == 0
    found = Manifest.model_validate_json(capsys.readouterr().out)
    assert found == Bundle.open(bundles / "plain" / "1").manifest


def test_every_kind_of_column_has_words() -> None:
    columns = (
        IdsColumn(name="a", low=0, high=1, labels=("no", "yes"), unknown=True),
        NumericColumn(name="b", missing=True),
        TimeColumn(name="c"),
    )
    assert told(changed(columns=columns))["reads"] == [
        "a: an id in 0..1, or any other (no, yes) per token",
        "b: a number, or NaN where it is missing per token",
        "c: a time per token",
    ]


def test_many_labels_are_cut() -> None:
    labels = tuple(f"l{i}" for i in range(50))
    column = IdsColumn(name="a", low=0, high=49, labels=labels)
    (line,) = told(changed(columns=(column,)))["reads"]
    assert line.endswith("l8, l9, and 40 more) per token")


def test_memory_says_which_case_it_is() -> None:
    one = TokenStage(file="a.onnx")
    attention = AttentionStage(file="b.onnx", heads=2, unpadded=True, places=7)
    padded = PaddedStage(
        file="c.onnx",
        inputs=(PaddedInput(name="x", reads="column", column="x", axes="bnw", dtype="float32"),),
        outputs=(PaddedOutput(name="y", output="y", axes="bw"),),
    )
    assert "constant memory" in memory(changed(stages=(one,)))
    assert memory(changed(stages=(one, one))).startswith("2 passes, 0 bytes per token")
    assert "all keys of a sequence" in memory(changed(stages=(one, attention, one)))
    assert "padded" in memory(changed(stages=(padded,)))
    assert told(changed(stages=(attention,)))["stage"] == [
        "b.onnx: attention, 2 heads, at most 7 keys per query"
    ]


def test_a_variant_is_told_with_what_it_costs() -> None:
    variant = Variant(
        name="int8",
        files=("a.int8.onnx",),
        size=1234,
        error=0.0312,
        figures={"accuracy": 0.98},
        figures_fp32={"accuracy": 0.99},
        speed=1.5,
        forced=True,
    )
    (line,) = told(changed(variants=(variant,)))["variant"]
    assert line == (
        "int8: 1,234 bytes, error 3.1e-02, accuracy 0.98 (fp32: 0.99), 1.50 times as fast, forced"
    )
