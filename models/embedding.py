"""From columns to hidden tokens. What is known of the inputs' statistics lives here, not with the
caller: values come raw."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from models import config, signature
from models.mlp import MLP


class Tokens(Protocol):
    """What an embedding reads: T tokens of N sequences; `models.pack.Pack` says what is what."""

    @property
    def columns(self) -> Mapping[str, Tensor]:
        """name -> (T, ...)."""
        ...

    @property
    def position(self) -> Tensor:
        """(T,) place of each token in its own sequence."""
        ...

    def origin(self, name: str) -> Tensor:
        """(T, ...): to every token what its sequence's first token has in a column."""
        ...

    def spread(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (T, ...)."""
        ...


class Column(nn.Module, ABC):
    """One raw column (T, ...) -> features (T, width)."""

    width: int

    def fit(self, values: Tensor) -> None:
        """Take the statistics of training values; there may be none to take."""

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """(T, ...) -> (T, width)."""


class Standardised(Column):
    """Float vectors (T, width), minus their mean, over their standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def fit(self, values: Tensor) -> None:
        """Statistics of (T, width), NaN left out; a feature that never varied is only centred."""
        values = values.double()  # in float32 a constant has a spread, and large values overflow
        mean = values.nanmean(0)
        std = (values - mean).square().nanmean(0).sqrt()
        self.mean.copy_(mean.nan_to_num())
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        """(T, width) -> (T, width)."""
        return (values - self.mean) / self.std


class Number(Column):
    """One number per token (T,): log, missing, standardise, clip, as its column says."""

    def __init__(self, own: signature.NumericColumn) -> None:
        super().__init__()
        self.log, self.flag, self.clip = own.log, own.missing == "flag", own.clip
        self.standardise, self.scale = own.standardise, Standardised(1)
        self.width = 1 + self.flag

    def fit(self, values: Tensor) -> None:
        """Statistics of what is standardised."""
        if self.standardise:
            self.scale.fit(self._logged(values)[:, None])

    def forward(self, values: Tensor) -> Tensor:
        """(T,) -> (T, 1), or (T, 2) with the flag of what is missing."""
        scaled = self.scale(self._logged(values)[:, None])
        missing = scaled.isnan()
        if self.flag:
            scaled = torch.where(missing, 0.0, scaled)
        if self.clip is not None:
            scaled = scaled.clamp(-self.clip, self.clip)
        return torch.cat([scaled, missing.to(scaled.dtype)], dim=1) if self.flag else scaled

    def _logged(self, values: Tensor) -> Tensor:
        return values.sign() * values.abs().log1p() if self.log else values


class Time(Column):
    """Times (T,) since the sequence's first token, as sines and cosines of many wavelengths."""

    WAVES = 16

    def __init__(self, own: signature.TimeColumn) -> None:
        super().__init__()
        ratio = (own.longest / own.shortest) ** (1 / (self.WAVES - 1))
        waves = [own.shortest * ratio**i for i in range(self.WAVES)]  # exact: turns may be many
        speed = torch.tensor([2 * math.pi / wave for wave in waves])
        self.register_buffer("speed", speed, persistent=False)
        self.longest = own.longest
        self.width = 2 * self.WAVES + 1

    def forward(self, values: Tensor) -> Tensor:
        """(T,) -> (T, 33): sines, cosines, and the time itself, compressed."""
        speed = self.get_buffer("speed")
        per_turn = torch.tensor(0.5 / math.pi, dtype=torch.float64, device=speed.device)
        turns = values[:, None].double() * (speed.double() * per_turn)
        angle = ((turns - turns.floor()) * (2 * math.pi)).to(speed.dtype)  # may be many turns
        own = (values[:, None] / self.longest).to(speed.dtype).clamp(min=0.0).log1p()
        return torch.cat([angle.sin(), angle.cos(), own], dim=1)


class Ids(Column):
    """Ids (T,) in low..high -> rows of a learned table; if allowed, any other is the last row."""

    def __init__(self, own: signature.IdsColumn, width: int) -> None:
        super().__init__()
        self.low, self.unknown = own.low, own.unknown
        self.known = own.high - own.low + 1
        self.table = nn.Embedding(self.known + own.unknown, width)
        if own.unknown:  # training may never see one: then it adds nothing
            nn.init.zeros_(self.table.weight[-1])
        self.width = width

    def forward(self, ids: Tensor) -> Tensor:
        """(T,) -> (T, width)."""
        row = ids - self.low
        if self.unknown:
            row = torch.where((row >= 0) & (row < self.known), row, self.known)
        out: Tensor = self.table(row)
        return out


class Columns(nn.Module):
    """Columns -> rows of ``width``: each through a linear map of its own, and added."""

    def __init__(self, columns: Sequence[signature.Column], width: int | None) -> None:
        super().__init__()
        self.names = [column.name for column in columns]
        self.columns = nn.ModuleList(_column(column, width) for column in columns)
        self.maps = nn.ModuleList(_map(column, width) for column in self.columns)

    def fit(self, values: Mapping[str, Tensor]) -> None:
        """Take the statistics of training values, every column (T, ...)."""
        for name, column in zip(self.names, self.columns, strict=True):
            assert isinstance(column, Column)
            column.fit(values[name])

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Every column (T, ...) -> (T, width)."""
        parts = zip(self.names, self.columns, self.maps, strict=True)
        rows: Tensor = sum(to_width(column(values[name])) for name, column, to_width in parts)
        return rows


class Embedding(nn.Module):
    """A pack's columns and context -> hidden tokens (T, width)."""

    def __init__(self, model: config.ModelConfig) -> None:
        super().__init__()
        own, shape = model.embedding, model.signature
        self.columns = Columns(shape.columns, own.width)
        self.times = [c.name for c in shape.columns if isinstance(c, signature.TimeColumn)]
        self.learned = own.position == "learned"
        self.sinusoidal = own.position == "sinusoidal"
        if self.learned:
            assert own.width is not None
            assert shape.max_length is not None
            self.places = nn.Embedding(shape.max_length, own.width)
            places = torch.arange(shape.max_length)
            with torch.no_grad():  # sinusoids tell places apart from the first step on
                self.places.weight.copy_(sinusoids(places, own.width, self.places.weight.dtype))
        self.mlp: nn.Module = nn.Identity()
        if own.mlp is not None:
            assert own.width is not None
            self.mlp = MLP(own.width, own.mlp, own.width, model.activation)

    def forward(self, tokens: Tokens, context: Tensor | None) -> Tensor:
        """-> (T, width); context (N, width) is added to every token of its sequence."""
        values = dict(tokens.columns)
        for name in self.times:
            values[name] = values[name] - tokens.origin(name)
        hidden: Tensor = self.columns(values)
        if self.learned:
            hidden = hidden + self.places(tokens.position)
        if self.sinusoidal:
            hidden = hidden + sinusoids(tokens.position, hidden.shape[1], hidden.dtype)
        if context is not None:
            hidden = hidden + tokens.spread(context)
        out: Tensor = self.mlp(hidden)
        return out


def sinusoids(position: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Positions (T,) -> (T, width): sines, then cosines, of wavelengths 2 pi .. 20000 pi."""
    half = (width + 1) // 2
    places = torch.arange(half, device=position.device, dtype=torch.float64)
    angle = position[:, None] * 10_000.0 ** (-places / half)
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width].to(dtype)


def _column(own: signature.Column, width: int | None) -> Column:
    if isinstance(own, signature.IdsColumn):
        assert width is not None, "checked by the configuration"
        return Ids(own, width)
    if isinstance(own, signature.NumericColumn):
        return Number(own)
    if isinstance(own, signature.TimeColumn):
        return Time(own)
    return Standardised(own.width)


def _map(column: nn.Module, width: int | None) -> nn.Module:
    assert isinstance(column, Column)
    if width is None or isinstance(column, Ids):
        return nn.Identity()
    return nn.Linear(column.width, width)
