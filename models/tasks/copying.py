"""Copying 127 symbols over a distance of 127 (Yun et al. 2020, section 5), by one pass.

A sequence is `0 s 0 M ... M`, 256 ids; from the second 0 on, every token answers with the next
symbol of the copy. The figure is the accuracy over those 127 answers; chance is 1 / 127.
"""

from __future__ import annotations

import torch

from models.architectures import Size
from models.pack import Pack
from models.signature import IdsColumn, Output, Signature
from models.tasks.task import Batch, Outputs, Recipe, Task

SYMBOLS, LENGTH = 127, 256
MARK, MASK = 0, SYMBOLS + 1
IGNORED = -100  # The class that cross-entropy leaves out.
BATCH = 32


def sample(sequences: int, generator: torch.Generator) -> Batch:
    """Fresh sequences, and per token the symbol to answer or IGNORED, (T,)."""
    symbols = torch.randint(1, SYMBOLS + 1, (sequences, SYMBOLS), generator=generator)
    half = LENGTH // 2
    ids = torch.full((sequences, LENGTH), MASK)
    ids[:, 0] = ids[:, half] = MARK
    ids[:, 1:half] = symbols
    wanted = torch.full((sequences, LENGTH), IGNORED)
    wanted[:, half:-1] = symbols
    pack = Pack({"tokens": ids.flatten()}, torch.full((sequences,), LENGTH))
    return Batch(pack, {"copy": wanted.flatten()})


class Copying(Task):
    """A class per token, the symbol itself; tokens of the first half have nothing to answer."""

    name = "copying"
    signature = Signature(
        columns=(IdsColumn(name="tokens", low=MARK, high=MASK),),
        outputs=(Output(name="copy", per="token", width=SYMBOLS + 1, kind="classification"),),
        max_length=LENGTH,
    )
    trained_lengths = (LENGTH, LENGTH)
    recipe = Recipe(steps=5_000, learning_rate=2e-3, evaluate_every=250)
    size = Size(width=128, positional=True, reach=16)
    architecture = "transformer"

    def batch(self, generator: torch.Generator) -> Batch:
        return sample(BATCH, generator)

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        wanted = batch.targets["copy"]
        asked = wanted != IGNORED
        hits = outputs["copy"].argmax(1)[asked] == wanted[asked]
        loss = self.loss(outputs, batch).item()
        return {"loss": loss, "accuracy": hits.float().mean().item()}


TASK = Copying()
