"""What tasks on generated sets share: lengths uniform in `trained_lengths`, fresh batches."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from models.tasks.task import Batch, Task, held_out


class SetTask(Task):
    """Endless sets; a subclass says how those of given lengths are drawn."""

    sets_per_batch: int
    held_out_sets: int

    @abstractmethod
    def sample(self, lengths: Tensor, generator: torch.Generator) -> Batch:
        """Sets of these lengths (N,) and their targets."""

    def batch(self, generator: torch.Generator) -> Batch:
        return self._drawn(self.sets_per_batch, generator)

    def validation(self) -> Batch:
        return self._drawn(self.held_out_sets, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": self._drawn(self.held_out_sets, held_out(3))}

    def _drawn(self, sets: int, generator: torch.Generator) -> Batch:
        low, high = self.trained_lengths
        return self.sample(torch.randint(low, high + 1, (sets,), generator=generator), generator)
