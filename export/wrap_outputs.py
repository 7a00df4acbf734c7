"""What each output of a model from elsewhere is: found by running it and seeing what sizes follow.

An axis that follows the batch is b, one that follows the padded length is n, the last is w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from export.wrap_file import WrapError
from export.wrap_inputs import Inputs, Said, unfit
from export.wrap_reference import Reference
from service.buckets import padded_lengths
from service.manifest import Output, PaddedOutput
from service.pack import BLOCK, Array, Pack

ORDERS = ("b", "bn", "bw", "nb", "wb", "bnw", "nbw", "bwn", "nwb", "wbn", "wnb")

ONLY = ""  # stands for the name of the only output


@dataclass(frozen=True, slots=True)
class Outputs:
    """All outputs, for the stage and for the manifest, in the same order."""

    outputs: tuple[PaddedOutput, ...]
    answers: tuple[Output, ...]

    @property
    def axes(self) -> dict[str, str]:
        """The graph's name for an output -> the order of its axes."""
        return {own.name: own.axes for own in self.outputs}


def chosen_outputs(names: Sequence[str], said: Said) -> tuple[str, ...]:
    """The outputs that are answered; WrapError where one that was named is not there."""
    for name in said.outputs:
        if name not in names:
            raise WrapError(f"--output {name}: the outputs are {', '.join(names)}")
    chosen = tuple(name for name in names if name in said.outputs or not said.outputs)
    for name in said.labels:
        if name not in chosen and (name or len(chosen) > 1):
            what = f"--labels {name}" if name else "--labels: say NAME=A,B,C"
            raise WrapError(f"{what}: the outputs are {', '.join(chosen)}")
    return chosen


def read_outputs(
    reference: Reference, some: Pack, lengths: Sequence[int], inputs: Inputs, said: Said
) -> Outputs:
    """What the outputs are, from runs of 2 and of 3 sequences in some padded lengths.

    ``some`` has three sequences of one length. WrapError names an output that cannot be told.
    """
    found: list[tuple[int, int, dict[str, Array]]] = []
    sequences = [some.take(np.array([i])) for i in range(3)]
    for places in lengths:
        for batch in (2, 3):
            yielded = reference.run(sequences[:batch], places)
            found.append((inputs.fixed.get("b", batch), places, yielded))
    outputs, answers = [], []
    for name in found[0][2]:
        runs = [(batch, places, yielded[name].shape) for batch, places, yielded in found]
        axes = _axes(name, runs, said.outputs.get(name))
        width = runs[0][2][axes.index("w")] if "w" in axes else 1
        try:
            outputs.append(PaddedOutput(name=name, output=said.rename.get(name, name), axes=axes))
            answers.append(_answer(outputs[-1], width, said))
        except ValidationError as error:
            raise WrapError(unfit("output", name, error)) from error
    return Outputs(tuple(outputs), tuple(answers))


def _answer(own: PaddedOutput, width: int, said: Said) -> Output:
    labels = said.labels.get(own.name, said.labels.get(ONLY))
    return Output(
        name=own.output,
        per="token" if "n" in own.axes else "sequence",
        width=width,
        kind="classification" if labels else "regression",
        labels=labels,
    )


def _axes(name: str, runs: Sequence[tuple[int, int, tuple[int, ...]]], said: str | None) -> str:
    shapes = " and ".join(str(list(shape)) for shape in dict.fromkeys(run[2] for run in runs))
    orders = [order for order in ([said] if said else ORDERS) if _follow(order, runs)]
    if len(orders) == 1 or (orders and _same(orders, runs[0][2])):
        return orders[0]
    if said:
        raise WrapError(f"--output {name}={said}: the graph yields {shapes}, which is not that")
    if orders:
        raise WrapError(
            f"cannot tell the axes of output {name!r}, {shapes}: say --output {name}=ORDER "
            f"({' or '.join(orders)})"
        )
    raise WrapError(
        f"output {name!r} is {shapes}, neither per token nor per sequence: leave it out, with "
        "--output for each of the others"
    )


def _follow(order: str, runs: Sequence[tuple[int, int, tuple[int, ...]]]) -> bool:
    """Whether the sizes of every run are those of the batch, the places and one width."""
    if "b" not in order or any(len(shape) != len(order) for _, _, shape in runs):
        return False
    widths = {shape[order.index("w")] for _, _, shape in runs} if "w" in order else {1}
    return len(widths) == 1 and all(
        size == {"b": batch, "n": places}.get(letter, size)
        for batch, places, shape in runs
        for letter, size in zip(order, shape, strict=True)
    )


def _same(orders: Sequence[str], shape: tuple[int, ...]) -> bool:
    """Whether the orders differ in axes of size 1 alone."""
    long = {
        (*sorted(order), *(axis for axis, size in zip(order, shape, strict=True) if size != 1))
        for order in orders
    }
    return len(long) == 1


def trial_lengths(inputs: Inputs, shortest: int, longest: int) -> list[int]:
    """Padded lengths to look at outputs in: as different as there may be."""
    if "n" in inputs.fixed:
        return [inputs.fixed["n"]]
    two = padded_lengths(np.array([max(1, shortest), max(1, shortest) + BLOCK]))
    return [int(n) for n in np.unique(np.minimum(two, longest))]
