from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import torch

from models.checkpoint import Checkpoint
from models.data.dataset import load_dataset, load_split
from models.data.spec import DataError
from models.signature import VectorColumn
from models.training.run import train
from tests.models.data.parquet import TOML, column, ids, rows, splits, told, write
from tests.models.training.doubling import Doubling


def test_one_file_is_split_80_10_10_by_the_seed(tmp_path: Path) -> None:
    path, toml = write(tmp_path / "all.parquet", **rows(40)), told(tmp_path)
    first, same, other = (load_dataset(path, toml, seed).splits for seed in (0, 0, 1))
    assert 26 <= len(first["train"]) <= 37
    assert min(len(first["validation"]), len(first["test"])) >= 1
    assert torch.cat(list(first.values())).sort().values.tolist() == list(range(40))
    assert torch.equal(first["train"], same["train"])
    assert not torch.equal(first["train"], other["train"])


def test_rows_keep_their_split_when_others_are_added(tmp_path: Path) -> None:
    toml = told(tmp_path)
    few, more = (
        load_dataset(write(tmp_path / f"{count}.parquet", **rows(count)), toml).splits
        for count in (40, 41)
    )
    for name, part in few.items():
        assert set(part.tolist()) <= set(more[name].tolist())


@pytest.mark.parametrize("suffix", ["arrow", "feather"])
def test_arrow_files_are_read_like_parquet(tmp_path: Path, suffix: str) -> None:
    toml, path = told(tmp_path), write(tmp_path / "all.parquet", **rows(40))
    other = tmp_path / f"all.{suffix}"
    feather.write_feather(pq.read_table(path), other)
    assert load_dataset(other, toml).fingerprint == load_dataset(path, toml).fingerprint


def test_files_of_a_folder_are_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", category=[["a"], ["b", "b"], ["b"] * 3, ["a"]])
    write(tmp_path / "data" / "b.parquet", category=[["c"], ["c", "b"], ["c"] * 3, ["d"]])
    task = load_dataset(tmp_path / "data", told(tmp_path))
    assert task.store.pack.sequences == 8
    labels = [*(ids(task).labels or ()), None]
    words = [labels[i] for i in column(task, "category")]
    expected = [*"abbbbba", *"ccbcccd"]
    assert all(word in (None, wanted) for word, wanted in zip(words, expected, strict=True))
    assert words.count(None) < 3


def batches(task: Any, count: int, seed: int = 0) -> list[list[int]]:
    """The ages, by which rows are known, of each batch."""
    generator = torch.Generator().manual_seed(seed)
    return [task.batch(generator).pack.context["age"].int().tolist() for _ in range(count)]


def test_an_epoch_holds_every_training_row_once_and_the_next_in_another_order(
    tmp_path: Path,
) -> None:
    toml = TOML.replace("tokens = 8", "tokens = 3")
    task = splits(tmp_path, toml, **rows(12))
    seen = [age for batch in batches(task, 40) for age in batch]
    epochs = [seen[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(epoch) == list(range(20, 32)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_batches_hold_whole_sequences_within_the_budget(tmp_path: Path) -> None:
    task = splits(tmp_path, TOML.replace("tokens = 8", "tokens = 4"), **rows(12))
    generator = torch.Generator().manual_seed(0)
    tokens = [task.batch(generator).pack.tokens for _ in range(20)]
    assert max(tokens) == 4
    assert sum(tokens) / len(tokens) > 3


def test_a_sequence_longer_than_the_budget_is_a_batch_alone(tmp_path: Path) -> None:
    task = splits(tmp_path, TOML.replace("tokens = 8", "tokens = 1"))
    assert all(len(batch) == 1 for batch in batches(task, 8))


def test_empty_sequences_are_not_trained_on_where_there_is_nothing_to_answer(
    tmp_path: Path,
) -> None:
    toml = TOML[: TOML.index("[outputs.risk]")] + TOML[TOML.index("[outputs.next]") :]
    empty: dict[str, Any] = {
        name: [[], *rows()[name][1:]] for name in ("amt", "category", "when", "x", "next")
    }
    assert all(20 not in batch for batch in batches(splits(tmp_path, toml, **empty), 4))


@pytest.mark.parametrize("architecture", ["sumformer", "set_transformer"])
def test_a_resumed_run_goes_on_within_its_epoch(
    tmp_path: Path, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = TOML.replace("tokens = 8", "tokens = 3").replace("steps = 4", "steps = 9")
    task = splits(tmp_path, toml, **rows(12))
    whole = train(task, architecture, tmp_path / "whole")
    real, calls = task.batch, iter(range(7))
    monkeypatch.setattr(task, "batch", lambda generator: (next(calls), real(generator))[1])
    with pytest.raises(StopIteration):
        train(task, architecture, tmp_path / "parts")
    again = splits(tmp_path, toml, **rows(12))
    assert train(again, architecture, tmp_path / "parts", resume=True) == whole
    states = [Checkpoint.load(tmp_path / part).model.state_dict() for part in ("whole", "parts")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_run_is_not_resumed_with_fewer_rows(tmp_path: Path) -> None:
    state = splits(tmp_path, **rows(12))
    batches(state, 1)
    with pytest.raises(DataError, match="the run had 12 rows, not 4"):
        splits(tmp_path).restore(state.state())


def test_training_twice_with_one_task_gives_the_same_weights(tmp_path: Path) -> None:
    task = splits(tmp_path, TOML.replace("tokens = 8", "tokens = 3"), **rows(12))
    assert train(task, "sumformer", tmp_path / "a") == train(task, "sumformer", tmp_path / "b")


def test_a_split_is_read_with_the_models_own_vocabulary(tmp_path: Path) -> None:
    task = splits(tmp_path)
    path = write(tmp_path / "new.parquet", category=[["rent"], ["rent"] * 2, ["a"] * 3, ["b"]])
    again = load_split(path, told(tmp_path), 0, "all", task.signature)
    assert again.tests()[""].pack.columns["category"].tolist() == [1, 1, 1, 2, 2, 2, 2]


def test_a_split_needs_no_other_file(tmp_path: Path) -> None:
    shape = splits(tmp_path).signature
    write(tmp_path / "new" / "test.parquet")
    task = load_split(tmp_path / "new", told(tmp_path), 0, "test", shape)
    assert task.tests()[""].pack.sequences == 4
    with pytest.raises(DataError, match="new: there is no file of the train rows"):
        load_split(tmp_path / "new", told(tmp_path), 0, "train", shape)


def test_a_sequence_too_long_for_the_model_is_refused(tmp_path: Path) -> None:
    task = splits(tmp_path)
    shape = task.signature.model_copy(update={"max_length": 2})
    with pytest.raises(DataError, match="row 2, column 'amt': 3 tokens; the model takes 1 to 2"):
        load_split(tmp_path / "data", told(tmp_path), 0, "test", shape)


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.int64()])
@pytest.mark.parametrize("words", [["a", "b"], [3, 4]])
def test_a_file_whose_ids_are_all_null_is_joined_with_any(
    tmp_path: Path, words: list[Any], kind: pa.DataType
) -> None:
    lengths = [1, 2, 3, 1]
    nothing = pa.array([[None] * n for n in lengths], pa.list_(kind))
    empty, full = {"category": nothing}, {"category": [[words[n % 2]] * n for n in lengths]}
    for before, after in ((empty, full), (full, empty)):
        write(tmp_path / "data" / "train.parquet", **full)
        write(tmp_path / "data" / "validation.parquet", **before)
        write(tmp_path / "data" / "test.parquet", **after)
        task = load_dataset(tmp_path / "data", told(tmp_path))
        own, codes = ids(task), torch.tensor(column(task, "category")).view(3, 7)
        unknown = (codes < own.low) | (codes > own.high)
        assert unknown.sum(1).tolist() == ([0, 7, 0] if before is empty else [0, 0, 7])
        assert torch.equal(codes[0], codes[2 if before is empty else 1])


def test_integers_for_a_model_of_words_are_refused_and_no_id_at_all_is_unknown(
    tmp_path: Path,
) -> None:
    shape = splits(tmp_path).signature
    lengths = [1, 2, 3, 1]
    path = write(tmp_path / "new.parquet", category=[[7] * n for n in lengths])
    with pytest.raises(DataError, match="'category': these are integers; the model reads words"):
        load_split(path, told(tmp_path), 0, "all", shape)
    path = write(tmp_path / "new.parquet", category=[[None] * n for n in lengths])
    task = load_split(path, told(tmp_path), 0, "all", shape)
    assert task.tests()[""].pack.columns["category"].tolist() == [2] * 7


def test_targets_per_token_for_a_model_per_sequence_are_refused(tmp_path: Path) -> None:
    task = splits(tmp_path)
    label = {"label": [["no"] * n for n in (1, 2, 3, 1)]}
    write(tmp_path / "new.parquet", **label)
    toml = TOML.replace('per = "sequence"', 'per = "token"')
    with pytest.raises(DataError, match="column 'label': the model's 'risk' is per sequence"):
        load_split(tmp_path / "new.parquet", told(tmp_path, toml), 0, "all", task.signature)


@pytest.mark.parametrize("longer", ["validation", "test"])
def test_a_bounded_model_reads_the_longest_row_of_every_split(tmp_path: Path, longer: str) -> None:
    for name in ("train", "validation", "test"):
        write(tmp_path / "data" / f"{name}.parquet", **rows(2 + (name == longer)))
    task = load_dataset(tmp_path / "data", told(tmp_path))
    assert task.trained_lengths == (1, 2)
    assert "loss" in train(task, "linformer", tmp_path / "out")


def test_learned_positions_take_the_length_that_is_told(tmp_path: Path) -> None:
    toml = TOML.replace("width = 8", 'width = 8\nposition = "learned"')
    toml = "max_length = 5\n" + toml
    task = splits(tmp_path, toml)
    assert task.config("sumformer").signature.max_length == 5
    assert "loss" in train(task, "sumformer", tmp_path / "out")


def test_data_of_another_model_are_refused(tmp_path: Path) -> None:
    splits(tmp_path)
    other = (VectorColumn(name="other", width=2),)
    shape = Doubling.signature.model_copy(update={"columns": other})
    with pytest.raises(DataError, match="nothing is said of the model's 'other'"):
        load_split(tmp_path / "data", told(tmp_path), 0, "test", shape)
