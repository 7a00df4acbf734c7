from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from service.classes import softmax
from service.session import Session
from tests.service.tables.table import pack, predict


def line(sequence: int) -> dict[str, object]:
    """One sequence as an object of columns; NaN is null."""
    own = pack()
    found = {name: own.split(values)[sequence].tolist() for name, values in own.columns.items()}
    found["amount"] = [None if value != value else value for value in found["amount"]]
    return {**found, **{name: values[sequence].tolist() for name, values in own.context.items()}}


def test_a_line_may_be_an_object_and_several_outputs_are_named(
    folder: Path, session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, lines = pack(), tmp_path / "lines.jsonl"
    lines.write_text("\n".join(json.dumps(line(i)) for i in range(len(own.lengths))))
    assert predict(folder, lines) == 0
    found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    wanted, rows = session.run(own), own.split(session.run(own)["a"])
    labels = session.manifest.outputs[2].labels or ()
    for i, answer in enumerate(found):
        assert set(answer) == {"output", "label", "probabilities"}
        np.testing.assert_allclose(np.reshape(answer["output"]["a"], (-1, 3)), rows[i], rtol=1e-6)
        np.testing.assert_allclose(answer["output"]["b"], wanted["b"][i], rtol=1e-6)
        assert answer["label"] == {"c": labels[wanted["c"][i].argmax()]}
        np.testing.assert_allclose(answer["probabilities"]["c"], softmax(wanted["c"])[i], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({**line(0), "when": [1, 1, None]}), "when[0][2]"),
        (json.dumps({k: v for k, v in line(0).items() if k != "g"}), "column 'g' is missing"),
        (json.dumps([[1, 2]]), "must be an object"),
        ("7", "must be an object"),
        (json.dumps(line(0)) + "]}", "not valid JSON"),
        (json.dumps(line(0)) + '], "mask": [[1, 1, 1]', "not valid JSON"),
    ],
)
def test_a_bad_line_is_named(
    text: str, said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text(f"{json.dumps(line(3))}\n{text}\n")
    code = predict(folder, lines)
    out, err = capsys.readouterr()
    assert (code, len(out.splitlines())) == (1, 1)
    assert "line 2: " in err
    assert said in err
