"""Every task with every architecture that makes sense for it."""

from __future__ import annotations

import pytest
import torch

from models.architectures import ARCHITECTURES
from models.model import Model
from models.pack import Pack
from models.tasks import TASKS, load_task
from models.tasks.task import Batch
from models.training.evaluation import evaluate

VECTORS_ONLY = {"copying", "listops", "jets", "histories", "digit_sum"}
TABLES = {"polynomial"}  # a table needs few short tokens in [0, 1]^d and one output per token
PAIRS = [
    (task, architecture)
    for task in TASKS
    for architecture in ARCHITECTURES
    if not (architecture == "sumformer-polynomial" and task in VECTORS_ONLY)
    and not (architecture == "sumformer-piecewise" and task not in TABLES)
]


def few(batch: Batch) -> Batch:
    """The first sequences of a batch, of some 600 tokens in all."""
    pack = batch.pack
    count = max(3, int((pack.lengths.cumsum(0) <= 600).sum()))
    tokens = int(pack.lengths[:count].sum())
    sizes = {pack.sequences: count, pack.tokens: tokens}
    small = Pack(
        {name: values[:tokens] for name, values in pack.columns.items()},
        pack.lengths[:count],
        {name: values[:count] for name, values in pack.context.items()},
    )
    targets = {name: values[: sizes[len(values)]] for name, values in batch.targets.items()}
    return Batch(small, targets)


@pytest.mark.parametrize(("task", "architecture"), PAIRS)
def test_a_pair_takes_a_training_step(task: str, architecture: str) -> None:
    own = load_task(task)
    torch.manual_seed(0)
    model = Model(own.config(architecture))
    assert model.config.architecture == architecture
    batch = few(own.batch(torch.Generator().manual_seed(0)))
    loss = own.loss(model(batch.pack), batch)
    torch.autograd.backward(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert loss.isfinite()
    assert any(g.abs().sum() > 0 for g in gradients)
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_plain_numbers_and_the_score_is_one_of_their_kind(task: str) -> None:
    own = load_task(task)
    batch = own.batch(torch.Generator().manual_seed(0))
    figures = evaluate(own, Model(own.config(own.architecture)), batch)
    assert figures
    assert all(type(value) is float for value in figures.values())
    assert isinstance(own.score(figures), float)


@pytest.mark.parametrize(
    ("task", "architecture", "message"),
    [
        ("jets", "sumformer-polynomial", "needs exactly one vector column"),
        ("histories", "sumformer-piecewise", "needs a max_length and one output per token"),
        ("digits", "sumformer-piecewise", "needs a max_length and one output per token"),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused_with_the_reason(
    task: str, architecture: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_task(task).config(architecture)


def test_a_table_of_one_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="allow no grid finer than one cell"):
        load_task("polynomial", {"d": 10}).config("sumformer-piecewise")


@pytest.mark.parametrize("task", TASKS)
def test_no_training_seed_draws_what_is_held_out(task: str) -> None:
    own = load_task(task)
    batches = [own.batch(torch.Generator().manual_seed(seed)) for seed in range(5)]
    for kept in (own.validation(), *own.tests().values()):
        name, column = next(iter(kept.pack.columns.items()))
        begin = column[:64].flatten()
        if len(begin) < 64 or len(begin.unique()) < 10:
            continue  # too little to tell
        for batch in batches:
            assert not torch.equal(batch.pack.columns[name].flatten()[: len(begin)], begin)
