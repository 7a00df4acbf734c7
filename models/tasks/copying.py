"""Copying 127 symbols over a distance of 127 (Yun et al. 2020, section 5), by one pass.

A sequence is `0 s 0 M ... M`, 256 ids; from the second 0 on, every token answers with the next
symbol of the copy. The figure is the accuracy over those 127 answers; chance is 1 / 127.
"""

from __future__ import annotations

import torch
from torch import nn

from models import config
from models.architectures import Size
from models.embedding import Ids
from models.heads import TokenHead
from models.layers.attention import Projections
from models.mlp import MLP
from models.model import Model
from models.pack import Pack
from models.signature import IdsColumn, Output, Signature
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

SYMBOLS, LENGTH = 127, 256
MARK, MASK = 0, SYMBOLS + 1
IGNORED = -100  # The class that cross-entropy leaves out.
BATCH = 8
GAIN = 4.0


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
    recipe = Recipe(steps=1_500, learning_rate=3e-3, evaluate_every=100)
    size = Size(positional=True, reach=16)
    architecture = "transformer"

    def batch(self, generator: torch.Generator) -> Batch:
        return sample(BATCH, generator)

    def tests(self) -> dict[str, Batch]:
        return {"": sample(64, held_out(3))}

    def config(self, architecture: str) -> config.ModelConfig:
        """The output is linear, as it starts as the table of symbols."""
        own = super().config(architecture)
        return own.model_copy(update={"heads": (config.TokenHead(hidden=()),)})

    @torch.no_grad()
    def initialise(self, model: Model) -> None:
        """Symbols are carried and named from the start, so that what is to learn is where to look.

        Without it even patterns that can copy stay at chance for thousands of steps.
        """
        symbols, head = model.embed.columns.columns[0], model.heads[0]
        assert isinstance(symbols, Ids)
        assert isinstance(head, TokenHead)
        assert isinstance(head.mlp, MLP)
        head.mlp.last.weight.copy_(0.1 * symbols.table.weight[: SYMBOLS + 1])
        for heads in model.modules():
            if isinstance(heads, Projections):
                nn.init.orthogonal_(heads.value.weight)
                heads.out.weight.copy_(GAIN * heads.value.weight.T)

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        wanted = batch.targets["copy"]
        asked = wanted != IGNORED
        hits = outputs["copy"].argmax(1)[asked] == wanted[asked]
        loss = self.loss(outputs, batch).item()
        return {"loss": loss, "accuracy": hits.float().mean().item()}


TASK = Copying()
