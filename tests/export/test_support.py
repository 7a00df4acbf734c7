from __future__ import annotations

from pathlib import Path

import pytest

from export.bundle import ExportError, export
from export.support import unsupported
from models import config
from models.architectures import Size, build
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import Column, IdsColumn, NumericColumn, Output, Signature, VectorColumn
from tests.conftest import CONFIGS

VECTOR = VectorColumn(width=2)


def made(
    architecture: str = "sumformer", columns: tuple[Column, ...] = (VECTOR,), **changes: object
) -> config.ModelConfig:
    outputs = (Output(per="sequence", width=1),)
    shape = Signature.model_validate(
        {"columns": columns, "outputs": outputs, "max_length": 9, **changes}
    )
    return build(architecture, shape, Size(width=8, heads=2))


@pytest.mark.parametrize("name", CONFIGS)
def test_sumformers_of_one_column_and_one_output_are_supported(name: str) -> None:
    assert unsupported(CONFIGS[name]) is None


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (made(columns=(VECTOR, IdsColumn(high=3))), "one column, no context and one output"),
        (made(context=(NumericColumn(name="age"),)), "one column, no context and one output"),
        (made(columns=(NumericColumn(name="age"),)), "column 'age' is numeric"),
        (made(columns=(IdsColumn(high=3, unknown=True),)), "'ids' allows unknown ids"),
        (made("performer"), "blocks.0: bundles have sumformer layers, not performer"),
        (made("pointnet"), "bundles have sum pools, not max"),
        (build("sumformer", made().signature, Size(positional=True)), "bundles have no positions"),
    ],
)
def test_what_cannot_be_exported_yet_is_refused_with_the_reason(
    own: config.ModelConfig, reason: str, tmp_path: Path
) -> None:
    assert reason in (unsupported(own) or "")
    checkpoint = Checkpoint(Card(name="mine", seed=0, model=own), Model(own))
    with pytest.raises(ExportError, match="mine: cannot be exported: "):
        export(checkpoint, tmp_path, "1")
    assert not list(tmp_path.iterdir())
