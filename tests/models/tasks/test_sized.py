from __future__ import annotations

import pytest

from models import config
from models.architectures import Size
from models.tasks import load_task
from models.tasks.sized import idle, sized
from tests.models.training.doubling import Doubling


def test_a_task_has_the_model_that_was_asked_for_and_the_shared_one_stays() -> None:
    task = load_task("digits")
    asked = {"blocks": "4", "aggregation": "sum", "positional": "true", "layer.rotary": "true"}
    made = sized(task, asked)
    assert made.size == Size(blocks=4, aggregation="sum", positional=True, layer={"rotary": True})
    assert made.asked_model == asked
    assert (task.size, task.asked_model) == (Size(), {})


def test_what_is_not_asked_for_is_the_task_s_own() -> None:
    task = Doubling()
    task.size = Size(width=8, layer={"head_width": 2})
    assert sized(task, {"layer.rotary": "true"}).size == Size(
        width=8, layer={"head_width": 2, "rotary": True}
    )


def test_fields_of_the_layers_reach_every_layer() -> None:
    made = sized(load_task("listops"), {"layer.sharing": "layerwise", "blocks": "3"})
    layers = [block.mixing for block in made.config("linformer").blocks]
    assert [layer.sharing for layer in layers if isinstance(layer, config.LinformerLayer)] == [
        "layerwise"
    ] * 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("widht", "8", "no 'widht'; there are width, blocks, .*, degree and layer.FIELD"),
        ("layer", "{}", "no 'layer'; there are width"),
        ("width", "wide", "width: Input should be a valid integer"),
        ("blocks", "-1", "blocks: Input should be greater than or equal to 0"),
        ("aggregation", "max", "aggregation: Input should be 'sum' or 'mean'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_its_name(key: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sized(Doubling(), {key: value})


@pytest.mark.parametrize(
    ("task", "architecture", "asked", "expected"),
    [
        ("polynomial", "sumformer", {"blocks": "4"}, "blocks"),
        ("polynomial", "transformer", {"blocks": "4"}, None),
        ("polynomial", "transformer", {"blocks": "2"}, None),
        ("digits", "transformer", {"blocks": "4", "reach": "3"}, "reach"),
        ("digits", "sparse-star", {"blocks": "4", "reach": "3"}, None),
        ("jets", "sumformer-polynomial", {"blocks": "4"}, None),
    ],
)
def test_what_no_model_of_the_task_reads_is_found(
    task: str, architecture: str, asked: dict[str, str], expected: str | None
) -> None:
    plain = load_task(task)
    assert idle(sized(plain, asked), plain, architecture) == expected
