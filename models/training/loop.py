"""The state of a training run: all that another process needs to go on as if never stopped."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from models.model import Model
from models.tasks.task import Batch, Task

State = dict[str, Any]


class Loop:
    """A model under training: AdamW, a one-cycle rate (cosine, warmed up), clipped gradients.

    ``kept`` are the weights that scored best in validation, at step ``kept_at``.
    """

    def __init__(self, task: Task, model: Model, seed: int, steps: int, device: str) -> None:
        self.task, self.model, self.device = task, model.to(device), torch.device(device)
        recipe = task.recipe
        self.optimiser = torch.optim.AdamW(
            model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.schedule = OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=steps, final_div_factor=1e3
        )
        self.batches = torch.Generator().manual_seed(seed)
        self.features = torch.Generator().manual_seed(seed)  # so that batches are every model's
        self.step, self.kept_at, self.stale, self.best = 0, 0, 0, -math.inf
        self.kept = self._weights()
        task.restore({})

    def advance(self) -> tuple[float, int]:
        """One optimiser step -> its loss and its tokens.

        Raises FloatingPointError naming the step whose loss is not a finite number.
        """
        if self.step:  # before a step, so that weights are judged with features they have seen
            self.model.redraw(self.step, self.features)
        batch = moved(self.task.batch(self.batches), self.device)
        loss = self._loss(batch)
        self.step += 1
        number = loss.item()
        self._finite("loss", number)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        if self.task.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.task.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        return number, batch.pack.tokens

    def judge(self, score: float) -> None:
        """Keep the weights if none scored higher. Raises FloatingPointError for no number."""
        self._finite("validation score", score)
        self.stale += 1
        if score > self.best:
            self.best, self.kept_at, self.stale = score, self.step, 0
            self.kept = self._weights()

    @property
    def exhausted(self) -> bool:
        """Whether the recipe's patience has run out."""
        return self.task.recipe.patience is not None and self.stale >= self.task.recipe.patience

    def state(self) -> State:
        """What `restore` takes: tensors and plain values only."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [self.batches.get_state(), self.features.get_state()],
            "random": [torch.get_rng_state(), *_cuda_state(self.device)],
            "progress": [self.step, self.kept_at, self.stale, self.best],
            "kept": self.kept,
            "task": self.task.state(),
        }

    def restore(self, state: State) -> None:
        """Go back to where the state was taken."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for generator, place in zip(
            (self.batches, self.features), state["generators"], strict=True
        ):
            generator.set_state(place)
        self.step, self.kept_at, self.stale, self.best = state["progress"]
        self.kept = {name: value.to(self.device) for name, value in state["kept"].items()}
        self.task.restore(state["task"])
        torch.set_rng_state(state["random"][0])
        for place in state["random"][1:]:
            torch.cuda.set_rng_state(place, self.device)

    def _loss(self, batch: Batch) -> Tensor:
        """Mixed precision on a GPU; the loss itself is always float32."""
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            outputs = self.model(batch.pack)
        return self.task.loss({name: rows.float() for name, rows in outputs.items()}, batch)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def _finite(self, what: str, number: float) -> None:
        if not math.isfinite(number):
            raise FloatingPointError(f"training diverged: {what} {number} at step {self.step}")


def moved(batch: Batch, device: torch.device) -> Batch:
    """The same batch on another device."""
    if device.type == "cpu":
        return batch
    targets = {name: target.to(device) for name, target in batch.targets.items()}
    return Batch(batch.pack.to(device), targets)


def _cuda_state(device: torch.device) -> list[Tensor]:
    return [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
