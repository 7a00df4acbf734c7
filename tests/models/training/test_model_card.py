from __future__ import annotations

from pathlib import Path

import pytest

from models.tasks import load_task
from models.tasks.sized import sized
from models.training.model_card import write_model_card
from tests.conftest import small_checkpoint
from tests.models.training.doubling import Doubling


@pytest.fixture
def card(tmp_path: Path) -> str:
    saved = small_checkpoint("pooled")
    write_model_card(tmp_path, load_task("jets"), saved, {"mass_rmse": 9.12345}, 70)
    return (tmp_path / "README.md").read_text()


def test_a_card_says_what_the_model_is_and_how_well_it_does(card: str) -> None:
    assert card.startswith("# pooled: sumformer\n")
    assert "mixing layers: none: a pooled model" in card
    assert "sequences of 0 or more tokens" in card
    assert "column `x`: vector" in card
    assert "output `y`: regression, 3 numbers per sequence" in card
    assert "| mass_rmse | 9.123 |" in card


def test_a_card_says_that_simulated_data_are_simulated(card: str) -> None:
    assert "Simulated jets" in card


def test_only_a_card_of_our_own_data_says_what_licence_the_model_has(
    card: str, tmp_path: Path
) -> None:
    assert "Apache-2.0" in card
    write_model_card(tmp_path, Doubling(), small_checkpoint("pooled"), {}, 70)
    assert "Apache" not in (tmp_path / "README.md").read_text()


def test_a_card_of_own_data_names_the_command_for_own_data(card: str) -> None:
    assert (
        "sumserve train --data ... --columns ... --architecture sumformer --seed 5 --steps 70"
        in card
    )


def test_a_card_repeats_how_the_model_was_asked_for(tmp_path: Path) -> None:
    task = sized(Doubling(), {"blocks": "1", "layer.psi": "[8, 8]"})
    write_model_card(tmp_path, task, small_checkpoint("pooled"), {}, 70)
    asked = "--seed 5 --model blocks=1 --model 'layer.psi=[8, 8]' --steps 70"
    assert asked in (tmp_path / "README.md").read_text()
