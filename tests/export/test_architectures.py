"""Every architecture as a bundle: exported, verified, and served as its checkpoint answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.bundle import export
from export.cases import Effort
from export.draw import usual
from service.bundle import Bundle
from service.graph import Options
from service.session import Session
from service.verification import check_company, check_golden
from tests.export.architectures import LONGEST, NAMES, forward, made

SHORT = Effort(longest=500, sequences=50, race_tokens=500, repetitions=3)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_answers_what_its_checkpoint_answers(name: str, tmp_path: Path) -> None:
    checkpoint = made(name)
    bundle = Bundle.open(export(checkpoint, tmp_path, "1", effort=SHORT))
    session = Session(bundle, Options())
    check_golden(bundle, session)
    check_company(bundle, session, tokens=LONGEST)
    longest = bundle.manifest.max_length or LONGEST
    lengths = [min(n, longest) for n in range(LONGEST)]
    pack = usual(checkpoint.model, lengths, np.random.default_rng(5))
    answers, wanted = session.run(pack), forward(checkpoint.model, pack)
    for output in bundle.manifest.outputs:
        scale = np.abs(wanted[output.name]).max()
        error = np.abs(answers[output.name] - wanted[output.name]).max() / scale
        assert error <= 10 * bundle.manifest.tolerance
