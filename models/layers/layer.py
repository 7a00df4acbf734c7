"""What every mixing layer offers: hidden tokens of a pack in, hidden tokens out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.pack import Pack
from models.summary import Merge, Segments, Summary


@dataclass(frozen=True, slots=True)
class Frame:
    """What a layer is told about the model it is in: width of its input, and the whole's choices.

    ``max_length`` is the longest sequence allowed, if there is one.
    """

    width: int
    activation: str
    max_length: int | None


class Layer(nn.Module, ABC):
    """A mixing layer. ``equivariant`` says whether permuting tokens permutes its output alike."""

    equivariant = True

    @abstractmethod
    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width')."""

    def redraw(self, step: int, generator: torch.Generator) -> None:
        """Draw anew what is random in the layer, if it is its turn after this training step."""
        return


class SummaryLayer(Layer):
    """A layer whose tokens meet only in a summary: contribution, merge, readout."""

    merge: Merge = "add"

    @abstractmethod
    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """hidden (T, width) -> the summary of each segment; summaries of parts merge."""

    @abstractmethod
    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """hidden (T, width) and the summary of the whole sequences -> (T, width')."""

    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width')."""
        return self.readout(hidden, self.contribution(hidden, pack), pack)
