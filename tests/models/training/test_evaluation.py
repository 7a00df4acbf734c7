from __future__ import annotations

import pytest
import torch

from models.pack import Pack
from models.tasks import load_task
from models.tasks.task import Batch
from models.training.budget import parts, runs
from models.training.evaluation import answer, evaluate, figures_of_tests
from models.training.run import build_model
from tests.models.training.doubling import Doubling


def test_runs_hold_as_many_whole_sequences_as_the_budget_allows() -> None:
    lengths = torch.tensor([3, 4, 3, 9, 0, 0, 7])
    assert list(runs(lengths, 7)) == [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]


def test_empty_sequences_count_so_that_a_run_is_bounded() -> None:
    assert list(runs(torch.zeros(5, dtype=torch.int64), 2)) == [(0, 2), (2, 4), (4, 5)]


def test_parts_hold_every_token_and_context_once() -> None:
    lengths = torch.tensor([2, 0, 3])
    pack = Pack({"x": torch.arange(5)}, lengths, {"age": torch.arange(3)})
    cut = list(parts(pack, 2))
    assert [part.lengths.tolist() for part in cut] == [[2], [0], [3]]
    assert torch.cat([part.columns["x"] for part in cut]).tolist() == [0, 1, 2, 3, 4]
    assert torch.cat([part.context["age"] for part in cut]).tolist() == [0, 1, 2]


def test_answers_in_parts_are_those_of_the_whole() -> None:
    task = Doubling()
    model, pack = build_model(task, "transformer"), task.validation().pack
    whole, cut = answer(model, pack)["y"], answer(model, pack, tokens=3)["y"]
    assert torch.allclose(whole, cut, atol=1e-6)


def test_a_pack_without_sequences_has_answers_of_no_rows() -> None:
    empty = Pack({"x": torch.zeros(0, 2)}, torch.zeros(0, dtype=torch.int64))
    assert answer(build_model(Doubling(), "sumformer"), empty)["y"].shape == (0, 2)


def test_models_answer_in_evaluation_mode() -> None:
    model = build_model(Doubling(), "sumformer").train()
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda module, args: seen.append(module.training))
    answer(model, Doubling().validation().pack, tokens=3)
    assert seen
    assert not any(seen)


def test_evaluation_leaves_a_model_in_training_as_it_was() -> None:
    task = Doubling()
    model = build_model(task, "sumformer").train()
    figures = evaluate(task, model, task.validation())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert figures.keys() == {"loss", "rmse"}


def test_tests_longer_than_a_model_takes_are_left_out() -> None:
    task = load_task("digit_sum")
    figures = figures_of_tests(task, build_model(task, "linformer"))
    assert {"accuracy_at_1", "accuracy_at_10"} <= set(figures)
    assert "accuracy_at_20" not in figures


class Measured(Doubling):
    """Its models take 5 tokens, its tests have as many as their names say."""

    signature = Doubling.signature.model_copy(update={"max_length": 5})

    def __init__(self, *lengths: int) -> None:
        super().__init__()
        self.lengths = lengths

    def tests(self) -> dict[str, Batch]:
        return {str(n): self._of(n) for n in self.lengths}

    def _of(self, length: int) -> Batch:
        tokens = torch.ones(length, 2)
        return Batch(Pack({"x": tokens}, torch.tensor([length])), {"y": 2 * tokens})


def test_a_model_that_takes_no_test_at_all_is_told_which_and_why() -> None:
    task = Measured(7, 9)
    with pytest.raises(ValueError, match=r"5 tokens that .* takes: 7 \(7 tokens\), 9 \(9 t"):
        figures_of_tests(task, build_model(task, "sumformer"))


def test_a_task_without_tests_has_no_figures() -> None:
    assert figures_of_tests(Measured(), build_model(Measured(), "sumformer")) == {}
