from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest

from service.session import Session
from service.tables import files
from service.tables.files import open_table
from service.tables.steps import answers
from tests.service.tables.table import (
    LENGTHS,
    answered,
    assert_answers,
    pack,
    predict,
    table,
)


@pytest.mark.parametrize("step", [1, 50, 100_000])
def test_answers_are_the_sessions_to_the_last_bit(
    step: int, folder: Path, session: Session, tmp_path: Path
) -> None:
    found = answered(folder, table(pack()), tmp_path, "--step-tokens", step)
    assert_answers(found, session, pack())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_neither_batches_nor_parts_matter(
    folder: Path, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BATCH_BYTES", 100)
    monkeypatch.setattr("service.tables.job.PART_BYTES", 0)
    assert_answers(answered(folder, table(pack()), tmp_path), session, pack())


def test_steps_hold_about_as_many_tokens_as_asked_for(session: Session) -> None:
    class Watched:
        manifest = session.manifest
        sizes: list[int] = []  # noqa: RUF012

        def run(self, own: Any) -> Any:
            self.sizes.append(own.tokens)
            return session.run(own)

    answers(Watched(), pack(), 64)
    assert sum(Watched.sizes) == sum(LENGTHS)
    assert max(Watched.sizes) == 100
    assert sorted(Watched.sizes)[-2] <= 64


def _stream(of: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, of.schema) as writer:
        writer.write_table(of, max_chunksize=4)


def _file(of: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, of.schema) as writer:
        writer.write_table(of, max_chunksize=4)


@pytest.mark.parametrize(
    ("write", "name"),
    [(_stream, "in.arrow"), (_file, "in.arrow"), (pf.write_feather, "in.feather")],
)
def test_arrow_and_feather_files_are_read(
    write: Callable[[pa.Table, Path], None],
    name: str,
    folder: Path,
    session: Session,
    tmp_path: Path,
) -> None:
    write(table(pack(), extra=pa.array(range(len(LENGTHS)))), tmp_path / name)
    out = tmp_path / "out.parquet"
    assert predict(folder, tmp_path / name, out, "--keep", "extra") == 0
    assert_answers(pq.read_table(out), session, pack())
    assert pq.read_table(out)["extra"].to_pylist() == list(range(len(LENGTHS)))


def test_columns_are_carried_over_and_found_under_other_names(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    named = pa.array([f"row {i}" for i in range(len(LENGTHS))]).dictionary_encode()
    own = table(pack(), name=named, unread=pa.array([{"a": 1}] * len(LENGTHS)))
    own = own.rename_columns({"amount": "amount eur", "g": "group"})
    options = ("--keep", "name", "group", "--rename", "amount=amount eur", "g=group")
    found = answered(folder, own, tmp_path, *options)
    assert_answers(found, session, pack())
    assert found.column_names == ["name", "group", "a", "b", "c", "c.label", "c.probability"]
    assert found["name"].to_pylist() == named.to_pylist()


def test_no_row_has_no_answer(folder: Path, tmp_path: Path) -> None:
    some = answered(folder, table(pack()), tmp_path, "--keep", "g")
    none = answered(folder, table(pack())[:0], tmp_path, "--keep", "g")
    assert (none.num_rows, none.schema) == (0, some.schema)


def changed(row: int, name: str, value: Any) -> pa.Table:
    own = table(pack())
    values = own[name].to_pylist()
    values[row] = value
    at = own.schema.get_field_index(name)
    return own.set_column(at, name, pa.array(values, own[name].type))


BAD: dict[str, tuple[str, Any]] = {
    "row 7: amount[0]: must be a list of tokens, not null": ("amount", None),
    "row 10: sequence 0: kind has 1 tokens, amount has 2": ("kind", [1]),
    "row 3: when[0][0]: must be a finite float64 number": ("when", [None]),
    "row 6: v[0][1]: must be a finite float32 number": ("v", [1, float("inf")]),
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_row_stops_the_run_and_is_named(
    said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    row = int(said.partition(":")[0].removeprefix("row "))
    pq.write_table(changed(row, *BAD[said]), source, row_group_size=5)
    assert predict(folder, source, out) == 1
    assert f"{source}: {said}" in capsys.readouterr().err
    assert not out.exists()


WORDS = pa.array([["1.5", None, None]] + [["2"] * n for n in LENGTHS[1:]], pa.list_(pa.string()))
PARTS = pa.array([[[]] * n for n in LENGTHS], pa.list_(pa.list_view(pa.float32())))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (WORDS, "row 0: amount[0][0]: must be a number, not a string"),
        (PARTS, "row 0: amount: its values are list_view<float32>; numbers are needed"),
    ],
)
def test_a_column_of_another_type_is_named(
    values: pa.Array, said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stream(table(pack()).set_column(0, "amount", values), tmp_path / "in.arrow")
    assert predict(folder, tmp_path / "in.arrow", tmp_path / "out.parquet") == 1
    assert capsys.readouterr().err.splitlines() == [
        f"sumserve predict: {tmp_path}/in.arrow: {said}"
    ]


def test_an_answer_that_is_not_finite_is_named_by_its_row(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(changed(8, "place", [[3e38, 3e38]] * 19), source, row_group_size=5)
    assert predict(folder, source, tmp_path / "out.parquet") == 1
    assert "row 8: output 'a' is not finite" in capsys.readouterr().err


def test_what_the_file_or_the_command_lacks_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(pack(), a=pa.array(LENGTHS)), source)
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    (tmp_path / "bad.arrow").write_bytes(b"nothing")
    for argv, said in (
        ((source,), "need a file to go to"),
        ((source, tmp_path / "out.csv"), "ends in .parquet"),
        ((source, source), "take the place of the table"),
        ((tmp_path / "lines.jsonl", out), "are for files that end in"),
        ((source, out, "--order-by", "g"), "--order-by needs --group-by"),
        ((source, out, "--keep", "z"), "no column 'z'; there are amount, kind"),
        ((source, out, "--keep", "a"), "column 'a' and an output have one name"),
        ((source, out, "--rename", "kind=sort"), "no column 'sort'"),
        ((source, out, "--rename", "sort=kind"), "the model reads amount, kind"),
        ((source, out, "--rename", "kind"), "must be MODEL=FILE"),
        ((tmp_path / "none.parquet", out), "none.parquet"),
        ((tmp_path / "bad.parquet", out), "bad.parquet: "),
        ((tmp_path / "bad.arrow", out), "bad.arrow: "),
    ):
        assert predict(folder, *argv) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_without_pyarrow_one_line_says_what_to_install(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert predict(folder, tmp_path / "in.parquet", tmp_path / "out.parquet") == 1
    error = capsys.readouterr().err
    assert error == "sumserve predict: pyarrow is not installed: pip install 'sumserve[arrow]'\n"


def test_batches_are_bounded_by_bytes_and_the_same_from_any_row_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BATCH_BYTES", 300)
    pq.write_table(table(pack()), tmp_path / "in.parquet", row_group_size=7)
    _file(table(pack()), tmp_path / "in.arrow")
    for name in ("in.parquet", "in.arrow"):
        file = open_table(tmp_path / name)
        whole = list(file.batches(["amount", "g"]))
        ends = np.cumsum([len(batch) for batch in whole])
        assert len(whole) > 3
        for done, end in enumerate(ends, 1):
            rest = list(file.batches(["amount", "g"], int(end)))
            assert [b.to_pydict()["g"] for b in rest] == [b.to_pydict()["g"] for b in whole[done:]]
