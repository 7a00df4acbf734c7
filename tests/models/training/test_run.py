from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from models.architectures import Size
from models.model import Model
from models.tasks.task import Task
from models.training.loop import Loop
from models.training.run import TrainingError, build_model, train
from tests.models.training.doubling import Diverging, Doubling, Scored, Stopped
from tests.models.training.runs import ARCHITECTURE, equal, interrupted, metrics, weights


def loop_of(task: Task) -> Loop:
    torch.manual_seed(0)
    return Loop(task, build_model(task, ARCHITECTURE), 0, 6, "cpu")


def test_training_learns(tmp_path: Path) -> None:
    figures = train(Doubling(evaluate_every=100), ARCHITECTURE, tmp_path, steps=200)
    assert figures["rmse"] < 0.1


def test_the_best_validated_step_is_kept(tmp_path: Path) -> None:
    train(Scored([1.0, 3.0, 2.0]), ARCHITECTURE, tmp_path / "all")
    interrupted(Stopped(4), ARCHITECTURE, tmp_path / "four")
    at_four = torch.load(tmp_path / "four" / "training.pt")["loop"]["model"]
    assert equal(weights(tmp_path / "all"), at_four)
    assert metrics(tmp_path / "all")[-1]["step"] == 4


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_when_patience_has_run_out(tmp_path: Path, patience: int) -> None:
    task = Scored([1.0, 3.0, 2.0, 2.5, 2.9, 2.9], steps=12, patience=patience)
    train(task, ARCHITECTURE, tmp_path)
    assert task.calls == 2 * (2 + patience)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(Doubling(), ARCHITECTURE, tmp_path / name, seed=seed)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_features_are_redrawn_before_every_step_but_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(Model, "redraw", lambda self, step, generator: seen.append(step))
    train(Doubling(), "performer", tmp_path)
    assert seen == [1, 2, 3, 4, 5]


def test_models_of_every_architecture_see_the_same_batches(tmp_path: Path) -> None:
    losses = []
    for architecture in ("performer", "sumformer"):
        torch.manual_seed(0)
        task = Doubling()
        loop = Loop(task, build_model(task, architecture), 0, 6, "cpu")
        for _ in range(4):  # features are redrawn after the third
            loop.advance()
        losses.append(loop.batches.get_state())
    assert torch.equal(*losses)


def gradient_norm(clip: float | None) -> float:
    loop = loop_of(Doubling(clip=clip))
    loop.advance()
    gradients = [p.grad for p in loop.model.parameters() if p.grad is not None]
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))


def test_gradients_are_clipped_to_the_recipes_norm() -> None:
    assert gradient_norm(0.01) == pytest.approx(0.01, rel=1e-3)
    assert gradient_norm(None) > 0.1


def test_the_rate_rises_and_then_falls_to_nearly_nothing() -> None:
    loop = loop_of(Doubling())
    rates = []
    for _ in range(6):
        rates.append(loop.optimiser.param_groups[0]["lr"])
        loop.advance()
    assert rates.index(max(rates)) == 1
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 1e-4 * max(rates)


def test_divergence_stops_the_run_naming_the_step(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="loss nan at step 3"):
        train(Diverging(), ARCHITECTURE, tmp_path)


def test_a_score_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="validation score nan at step 2"):
        train(Scored([float("nan")]), ARCHITECTURE, tmp_path)


def test_a_run_tells_train_and_validation_in_turn_the_test_at_last_and_a_curve(
    tmp_path: Path,
) -> None:
    figures = train(Doubling(), ARCHITECTURE, tmp_path, steps=5)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    lines = metrics(tmp_path)
    assert [(line["split"], line["step"]) for line in lines[:-1]] == [
        (split, step) for step in (2, 4, 5) for split in ("train", "validation")
    ]
    assert {"loss", "tokens_per_second", "seconds"} <= lines[0].keys()
    assert lines[-1]["split"] == "test"
    assert {name: lines[-1][name] for name in figures} == figures


def test_a_test_that_has_a_name_gives_it_to_its_figures(tmp_path: Path) -> None:
    figures = set(train(Doubling(), ARCHITECTURE, tmp_path))
    assert figures == {"loss", "rmse", "loss_at_7", "rmse_at_7"}


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unknown architecture 'former'; known: sumformer"):
        train(Doubling(), "former", tmp_path)


def test_an_architecture_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    task = Doubling()
    task.size = Size(width=8, heads=3)
    with pytest.raises(TrainingError, match=r"doubling, transformer: .*3 heads do not") as found:
        train(task, "transformer", tmp_path)
    assert "\n" not in str(found.value)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="device 'warp'"):
        train(Doubling(), ARCHITECTURE, tmp_path, device="warp")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("architecture", ["sumformer", "performer"])
def test_training_learns_in_mixed_precision(tmp_path: Path, architecture: str) -> None:
    task = Doubling(evaluate_every=100)
    assert train(task, architecture, tmp_path, steps=200, device="cuda")["rmse"] < 0.2
