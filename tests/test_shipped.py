"""What ships keeps its promises: checkpoints, bundles, and the README's own example."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
import torch

from benchmarks.accuracy import served_accuracy
from benchmarks.process import ServerProcess
from export.cases import QUICK, Case
from export.draw import usual
from export.verification import Verifier
from models.checkpoint import Checkpoint
from models.tasks.digit_sum import TESTED
from models.tasks.polynomial import relative_error, target
from service.bundle import Bundle
from service.graph import Options
from service.pack import Array, Pack
from service.session import Session
from service.verification import check_golden
from tests.conftest import ROOT, SHIPPED

NAMES = ("digits", "polynomial", "digit_sum")


def answers(name: str, sequences: Sequence[Array]) -> Array:
    bundle = Bundle.open(SHIPPED / name / "1")
    pack = Pack.of(bundle.manifest.columns[0].name, sequences)
    return Session(bundle, Options()).run(pack)[bundle.manifest.outputs[0].name]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_bundle_is_intact_and_small(name: str) -> None:
    bundle = Bundle.open(SHIPPED / name / "1")
    assert check_golden(bundle, Session(bundle, Options())) <= bundle.manifest.tolerance
    for folder in (bundle.folder, ROOT / "models" / "checkpoints" / name):
        assert sum(f.stat().st_size for f in folder.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_bundle_is_of_the_shipped_checkpoint(name: str) -> None:
    checkpoint = Checkpoint.load(ROOT / "models" / "checkpoints" / name)
    bundle = Bundle.open(SHIPPED / name / "1")
    verifier = Verifier(checkpoint.model, Session(bundle, Options()), QUICK)
    pack = usual(checkpoint.model, [1, 20, 300], np.random.default_rng(0))
    assert verifier.check(Case("now", [1, 20, 300]), pack).holds()
    assert bundle.manifest.outputs[0].labels == checkpoint.card.model.signature.outputs[0].labels


def test_digits_are_read_through_the_server(server: ServerProcess) -> None:
    assert served_accuracy(server.url) >= 0.985


def test_polynomial_meets_its_target_on_fresh_samples() -> None:
    tokens = torch.rand(2000, 3, 4, generator=torch.Generator().manual_seed(99))
    found = answers("polynomial", list(tokens.numpy()))
    wanted = target(tokens).flatten(0, 1)
    assert relative_error(torch.from_numpy(found), wanted) <= 0.02


@pytest.mark.parametrize("length", [0, *TESTED])
def test_digit_sum_extrapolates(length: int) -> None:
    sets = np.random.default_rng(length).integers(1, 10, (300, length))
    found = answers("digit_sum", list(sets))[:, 0].round()
    assert (found == sets.sum(1)).mean() >= 0.99


def test_the_readme_s_answer_is_the_server_s(server: ServerProcess) -> None:
    text = (ROOT / "README.md").read_text()
    body = re.search(r"-d '(\{.*?\})'", text)
    answer = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert body
    assert answer
    url = f"{server.url}/v1/models/digit_sum/predict"
    found, shown = httpx.post(url, content=body[1]).json(), json.loads(answer[1])
    assert found.keys() == shown.keys()
    np.testing.assert_allclose(found["outputs"], shown["outputs"], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(np.round(found["outputs"])[:, 0], [6, 0, 42])
