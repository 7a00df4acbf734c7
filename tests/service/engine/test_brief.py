from __future__ import annotations

import math

import pytest

from service.engine.admission import Admission
from service.engine.brief import Brief
from service.engine.cost import Cost, Costs
from service.engine.job import Job, Part, Step
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.manifest import AttentionStage, Manifest, SequenceStage, TokenStage
from tests.service.fakes import manifest


def cost(per_token: float, per_step: float) -> Costs:
    learned = Cost()
    for i in range(2000):
        tokens = 100 * (i % 10 + 1)
        learned.observe(tokens, tokens * per_token + per_step)
    return Costs(learned, [])


def staged(*stages: object) -> Manifest:
    return manifest("m").model_copy(update={"stages": stages})


TOKENS, LAST = TokenStage(file="a.onnx"), SequenceStage(file="b.onnx")
ATTENTION = AttentionStage.model_construct(file="c.onnx", heads=1, unpadded=False)


def brief_of(seconds: float, costs: dict[str, Costs], *stages: object) -> Brief:
    brief = Brief(seconds, costs)
    brief.add("m", staged(*stages))
    return brief


def test_a_brief_step_takes_so_long_by_what_steps_cost() -> None:
    brief = brief_of(0.02, {"m": cost(1e-5, 0.001)}, TOKENS, LAST)
    assert brief.tokens("m") == pytest.approx(1900, rel=0.02)


@pytest.mark.parametrize(
    ("seconds", "stages", "per_step"),
    [(0.0, (TOKENS,), 0.0), (0.02, (TOKENS, ATTENTION), 0.0), (0.02, (TOKENS,), 0.015)],
    ids=["switched off", "goes by lengths too", "mostly besides its tokens"],
)
def test_some_models_have_no_brief_steps(
    seconds: float, stages: tuple[object, ...], per_step: float
) -> None:
    brief = brief_of(seconds, {"m": cost(1e-5, per_step)}, *stages)
    assert math.isinf(brief.tokens("m"))
    assert not brief.holds(Step("m", (Part(Job("m", [1]), 0, 1),)))


@pytest.mark.parametrize(("tokens", "held"), [(100, True), (3500, True), (4500, False)])
def test_the_loop_waits_for_up_to_twice_as_long(tokens: int, held: bool) -> None:
    brief = brief_of(0.02, {"m": cost(1e-5, 0.0)}, TOKENS)
    assert brief.holds(Step("m", (Part(Job("m", [tokens]), 0, 1),))) is held


def test_what_waits_is_reckoned_in_steps_of_the_size_that_is_run() -> None:
    costs = {"m": cost(1e-5, 0.005)}
    long, short = (
        Admission(Policy(10**6), Scheduler(100_000, 10**6), costs, brief_of(s, costs, TOKENS))
        for s in (0.0, 0.02)
    )
    assert long.seconds({"m": 100_000}) == pytest.approx(1.005, rel=0.02)
    assert short.seconds({"m": 100_000}) == pytest.approx(100_000 / 1500 * 0.02, rel=0.03)
