"""Points of a random cluster in R^3 -> for every point, its distance to the centroid of its set.

The figure is the relative L2 error ||y' - y|| / ||y|| over all tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.sets import SetTask
from models.tasks.task import Batch, Outputs, Recipe

D = 3
SPREAD = (0.3, 3.0)


def distances(pack: Pack) -> Tensor:
    """(T, 1) euclidean distances to the mean of each token's set."""
    points = pack.columns["x"]
    centroids = pack.sum(points) / pack.lengths.clamp(min=1)[:, None]
    away = points - pack.spread(centroids)
    return away.square().sum(1, keepdim=True).sqrt()


class CentroidDistance(SetTask):
    """One distance per token; zero for a point alone."""

    name = "centroid_distance"
    signature = Signature(
        columns=(VectorColumn(name="x", width=D),),
        outputs=(Output(name="distance", per="token", width=1),),
    )
    trained_lengths = (1, 128)
    sets_per_batch, held_out_sets = 64, 500
    recipe = Recipe(steps=8_000, learning_rate=3e-3)

    def sample(self, lengths: Tensor, generator: torch.Generator) -> Batch:
        """Normal clusters: centres normal with deviation 3, spreads uniform in SPREAD."""
        sets = len(lengths)
        centres = 3 * torch.randn(sets, D, generator=generator)
        spreads = SPREAD[0] + (SPREAD[1] - SPREAD[0]) * torch.rand(sets, 1, generator=generator)
        noise = torch.randn(int(lengths.sum()), D, generator=generator)
        owner = torch.repeat_interleave(torch.arange(sets), lengths)
        pack = Pack({"x": centres[owner] + spreads[owner] * noise}, lengths)
        return Batch(pack, {"distance": distances(pack)})

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        wanted = batch.targets["distance"]
        error = (outputs["distance"] - wanted).norm() / wanted.norm()
        return {"relative_error": error.item()}

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["relative_error"]


TASK = CentroidDistance()
