from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.architectures import Size, build
from models.config import ModelConfig
from models.signature import Signature
from tests.conftest import CONFIGS
from tests.models import small


@pytest.mark.parametrize("name", CONFIGS)
def test_json_round_trip_is_exact(name: str) -> None:
    text = CONFIGS[name].model_dump_json()
    assert ModelConfig.model_validate_json(text) == CONFIGS[name]


@pytest.mark.parametrize("name", small.NAMES)
def test_json_round_trip_of_every_architecture_is_exact(name: str) -> None:
    own = build(name, small.signature(name), Size(cells=3))
    assert ModelConfig.model_validate_json(own.model_dump_json()) == own


IDS = {"kind": "ids", "name": "ids", "high": 3}
VECTORS = {"kind": "vector", "name": "x", "width": 3}
CLASSES = {"per": "token", "width": 2, "kind": "classification"}
POOL = {"kind": "max", "latent_dim": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "Extra inputs"),
        ({"blocks": []}, "its width must be 3"),
        ({"heads": [{"kind": "sequence", "pool": POOL}]}, "is per token, its head"),
        ({"heads": []}, "0 heads for 1 outputs"),
        ({"embedding": {"mlp": [4]}}, "may go without a width"),
        ({"embedding": {"width": 2, "position": "learned"}}, "max_length: Linformer layers and"),
    ],
)
def test_an_impossible_config_is_refused_with_the_reason(
    change: dict[str, object], message: str
) -> None:
    values = CONFIGS["plain"].model_dump()
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate({**values, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "Extra inputs"),
        ({"columns": []}, "at least 1 item"),
        ({"columns": [{**IDS, "low": 5}]}, "empty range"),
        ({"columns": [{**IDS, "labels": ["a"]}]}, "1 labels for 4 ids"),
        ({"columns": [VECTORS, VECTORS]}, "names must differ"),
        ({"context": [VECTORS]}, "names must differ"),
        ({"min_length": 5, "max_length": 4}, "max_length 4 is below min_length 5"),
        ({"outputs": [{"per": "token", "width": 2, "labels": ["a"]}]}, "1 labels for a width of 2"),
        ({"outputs": [{"per": "token", "width": 2, "scale": [1]}]}, "1 numbers for a width of 2"),
        ({"outputs": [{**CLASSES, "labels": ["a", "a"]}]}, "labels must differ: a, a"),
        ({"outputs": [{**CLASSES, "scale": [2, 2]}]}, "a classification has no scale"),
    ],
)
def test_an_impossible_signature_is_refused_with_the_reason(
    change: dict[str, object], message: str
) -> None:
    values = CONFIGS["plain"].signature.model_dump()
    with pytest.raises(ValidationError, match=message):
        Signature.model_validate({**values, **change})


def test_a_residual_block_keeps_the_width() -> None:
    values: dict[str, Any] = CONFIGS["plain"].model_dump()
    blocks = [{**values["blocks"][0], "residual": True}]
    with pytest.raises(ValidationError, match="a residual block keeps the width, 3 != 2"):
        ModelConfig.model_validate({**values, "blocks": blocks})
