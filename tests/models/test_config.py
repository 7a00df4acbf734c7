from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.config import SumformerConfig
from tests.conftest import CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_json_round_trip_is_exact(name: str) -> None:
    text = CONFIGS[name].model_dump_json()
    assert SumformerConfig.model_validate_json(text) == CONFIGS[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "Extra inputs"),
        ({"layers": []}, "at least one layer"),
        ({"head": {"per": "token", "width": 9}}, "its width must be 2"),
        ({"input": {"kind": "ids", "high": 3}}, "embedding"),
        ({"input": {"kind": "ids", "low": 5, "high": 3}}, "range is empty"),
        ({"min_length": 5, "max_length": 4}, "max_length 4 is below min_length 5"),
    ],
)
def test_an_impossible_config_is_refused_with_the_reason(
    change: dict[str, object], message: str
) -> None:
    values = CONFIGS["plain"].model_dump()
    with pytest.raises(ValidationError, match=message):
        SumformerConfig.model_validate({**values, **change})


def test_a_residual_layer_keeps_the_width() -> None:
    values = CONFIGS["plain"].model_dump()
    layers = [{**values["layers"][0], "residual": True}]
    with pytest.raises(ValidationError, match="a residual layer keeps the width, 3 != 2"):
        SumformerConfig.model_validate({**values, "layers": layers})
