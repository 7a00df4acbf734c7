"""Which axis of an input is the batch, which the tokens and which the width.

Decides from sizes, from symbols that inputs share and from what was said; refuses where that
leaves a choice. A wrong guess is not served: the proof that company changes nothing finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from export.wrap_file import Tensor, WrapError

Role = Literal["mask", "lengths", "values"]
HINTS = {"batch": "b", "seq": "n", "len": "n", "time": "n", "tok": "n"}  # in names of symbols
ORDERS: Mapping[Role, tuple[str, ...]] = {  # likeliest first
    "lengths": ("b", "bw", "wb"),
    "mask": ("bn", "nb", "bnw", "nbw", "bwn", "nwb", "wbn", "wnb"),
    "values": ("b", "bn", "nb", "bw", "wb", "bnw", "nbw", "bwn", "nwb", "wbn", "wnb"),
}


def axes_of(tensors: Mapping[str, tuple[Tensor, Role]], said: Mapping[str, str]) -> dict[str, str]:
    """Input name -> the order of its axes; ``said`` are those that are known.

    Raises WrapError that names an input whose axes cannot be told, and what to say.
    """
    settled = _Settled()
    for name, axes in said.items():
        tensor, role = tensors[name]
        settled.add(tensor, _checked(tensor, role, axes))
    while open_ones := [pair for name, pair in tensors.items() if name not in settled.axes]:
        settled.add(*next(_told(settled, open_ones)))
    return settled.axes


@dataclass(slots=True)
class _Settled:
    """What is known so far: axes of inputs, letters of symbols, sizes of b and n (0: any)."""

    axes: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, tensor: Tensor, axes: str) -> None:
        """Note the axes of an input, and what follows for the others."""
        self.axes[tensor.name] = axes
        for letter, dim in zip(axes, tensor.dims, strict=True):
            if letter == "w":
                continue
            if isinstance(dim, str) and dim:
                self.letters[dim] = letter
            self.sizes[letter] = dim if isinstance(dim, int) else 0

    def orders(self, tensor: Tensor, role: Role) -> list[str]:
        """The orders that an input's axes may have."""
        narrow = role != "values" or not tensor.dtype.startswith("float")
        return [
            order
            for order in ORDERS[role]
            if len(order) == len(tensor.dims)
            and all(map(self._fits, order, tensor.dims))
            and not (narrow and "w" in order and tensor.dims[order.index("w")] != 1)
        ]

    def _fits(self, letter: str, dim: int | str) -> bool:
        if letter == "w":
            return isinstance(dim, int)
        if isinstance(dim, int):
            return self.sizes.get(letter, dim) == dim
        hint = next((HINTS[part] for part in HINTS if part in dim.lower()), letter)
        return self.sizes.get(letter, 0) == 0 and self.letters.get(dim, hint) == letter


def _told(settled: _Settled, inputs: list[tuple[Tensor, Role]]) -> Iterator[tuple[Tensor, str]]:
    """Those whose axes are certain, then those whose axes are likely; then WrapError."""
    orders = {tensor.name: settled.orders(tensor, role) for tensor, role in inputs}
    for tensor, _ in inputs:
        if len(orders[tensor.name]) == 1:
            yield tensor, orders[tensor.name][0]
    for tensor, role in inputs:
        if orders[tensor.name] and _likely(tensor, role, orders[tensor.name]):
            yield tensor, orders[tensor.name][0]
    tensor, _ = inputs[0]
    some = " or ".join(orders[tensor.name]) or "b batch, n tokens, w width"
    raise WrapError(
        f"cannot tell the axes of input {tensor}: say --axes {tensor.name}=ORDER ({some})"
    )


def _likely(tensor: Tensor, role: Role, orders: list[str]) -> bool:
    """Whether the first order is what anybody would take: batch before tokens."""
    if role == "values" and tensor.dtype.startswith("float"):
        return sum(isinstance(dim, str) for dim in tensor.dims) >= 2
    return role != "values" or not any("w" in order for order in orders)


def _checked(tensor: Tensor, role: Role, axes: str) -> str:
    """What was said of an input, if it can be."""
    what = f"--axes {tensor.name}={axes}"
    if len(axes) != len(tensor.dims) or len(set(axes)) != len(axes) or set(axes) - set("bnw"):
        raise WrapError(f"{what}: input {tensor} has {len(tensor.dims)} axes; each is b, n or w")
    if "b" not in axes:
        raise WrapError(f"{what}: no axis is the batch (b)")
    if role != "values" and ("n" in axes) != (role == "mask"):
        raise WrapError(f"{what}: a mask is per token (n), lengths are not")
    width = tensor.dims[axes.index("w")] if "w" in axes else 1
    if not isinstance(width, int):
        raise WrapError(f"{what}: the graph leaves the width (w) open; a column has one width")
    if width != 1 and (role != "values" or not tensor.dtype.startswith("float")):
        raise WrapError(f"{what}: the width (w) of what is not float must be 1")
    return axes
