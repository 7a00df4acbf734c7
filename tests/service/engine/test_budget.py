from __future__ import annotations

from service.engine.budget import LEAST, STEPS, Budget


def test_it_shrinks_to_a_half_but_never_to_nothing() -> None:
    budget = Budget(1000)
    budget.learn(exhausted=True)
    assert budget.tokens == 500
    for _ in range(5):
        budget.learn(exhausted=True)
    assert budget.tokens == LEAST
    small = Budget(100)
    small.learn(exhausted=True)
    assert small.tokens == 100


def test_it_grows_again_after_many_steps_that_did_well_up_to_what_is_allowed() -> None:
    budget = Budget(1500)
    budget.learn(exhausted=True)
    for _ in range(STEPS - 1):
        budget.learn(exhausted=False)
    assert budget.tokens == 750
    budget.learn(exhausted=False)
    assert budget.tokens == 1500
    for _ in range(2 * STEPS):
        budget.learn(exhausted=False)
    assert budget.tokens == 1500
