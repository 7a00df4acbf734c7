"""The schema of an Arrow stream: what columns there are, and how each lies in a batch.

Source: Schema.fbs. Types that no column can have are read all the same, to be named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from service.errors import BadRequest
from service.wires.arrow_array import FIXED, Type
from service.wires.flatbuffer import Table

UNITS, FLOATS = "smun", "efg"
SIGNED, UNSIGNED = {8: "c", 16: "s", 32: "i", 64: "l"}, {8: "C", 16: "S", 32: "I", 64: "L"}
DEEPEST, LONGEST_NAME = 16, 256
PER_COLUMN = 8  # fields, its parts included, on average


@dataclass(frozen=True, slots=True)
class Field:
    """A column or a part of one. buffers: how many it has itself; code: of its dictionary."""

    column: str
    type: Type
    buffers: int
    children: tuple[Field, ...] = ()
    code: int | None = None
    values: Field | None = None


def fields_of(schema: Table, most: int) -> list[Field]:
    """The columns of a schema; ValueError where it cannot be one of this machine's.

    BadRequest where there are more than ``most`` of them.
    """
    if schema.number(0, "h"):
        raise ValueError("it is big-endian")
    if schema.count(1) > most:
        raise BadRequest(f"{schema.count(1)} columns, the limit is {most}")
    budget = iter(range(PER_COLUMN * most))
    tables = schema.tables(1)
    return [_field(table, table.text(0, LONGEST_NAME), budget, DEEPEST) for table in tables]


def _field(table: Table, column: str, budget: Iterator[int], depth: int) -> Field:
    # Tables may be shared, so that a small schema unfolds without end.
    if next(budget, None) is None or not depth:
        raise ValueError("its schema is too deep or too large")
    children = tuple(_field(child, column, budget, depth - 1) for child in table.tables(5))
    kind, own = table.number(2, "B"), table.table(3)
    if kind not in TYPES or own is None:
        raise ValueError("its schema has an unknown type")
    form, buffers = TYPES[kind](own)
    if form.startswith(("+l", "+L", FIXED)) and len(children) != 1:
        raise ValueError("its schema has a list of several types")
    plain = Field(column, Type(form, tuple(c.type for c in children)), buffers, children)
    encoding = table.table(4)
    return plain if encoding is None else _encoded(plain, encoding)


def _encoded(values: Field, encoding: Table) -> Field:
    """A field whose values are codes of a dictionary."""
    index = encoding.table(1)
    form = "i" if index is None else _int(index)[0]
    kind = Type(form, dictionary=values.type)
    return Field(values.column, kind, 2, code=encoding.number(0, "q"), values=values)


def dictionaries(fields: list[Field] | tuple[Field, ...]) -> Iterator[tuple[int, Field]]:
    """The code of every dictionary, and what its values are."""
    for own in fields:
        yield from dictionaries(own.children)
        if own.code is not None and own.values is not None:
            yield own.code, own.values
            yield from dictionaries(own.values.children)


def _int(own: Table) -> tuple[str, int]:
    table = SIGNED if own.number(1, "B") else UNSIGNED
    width = own.number(0, "i")
    if width not in table:
        raise ValueError("its schema has an unknown type")
    return table[width], 2


def _float(own: Table) -> tuple[str, int]:
    return FLOATS[_at_most(own.number(0, "h"), 2)], 2


def _decimal(own: Table) -> tuple[str, int]:
    scale = _at_most(own.number(1, "i"), 76)
    return f"d:{own.number(0, 'i')},{scale},{own.number(2, 'i', 128)}", 2


def _date(own: Table) -> tuple[str, int]:
    return ("tdm" if own.number(0, "h", 1) else "tdD"), 2


def _in_units(prefix: str, default: int) -> Callable[[Table], tuple[str, int]]:
    return lambda own: (f"{prefix}{UNITS[_at_most(own.number(0, 'h', default), 3)]}:", 2)


def _fixed_size_list(own: Table) -> tuple[str, int]:
    return f"{FIXED}{_at_most(own.number(0, 'i'), 2**31)}", 1


def _union(own: Table) -> tuple[str, int]:
    return "+u", 2 if own.number(0, "h") else 1


def _at_most(number: int, most: int) -> int:
    if not 0 <= number <= most:
        raise ValueError("its schema has an unknown type")
    return number


def _always(form: str, buffers: int) -> Callable[[Table], tuple[str, int]]:
    return lambda _: (form, buffers)


_IN_ORDER: tuple[Callable[[Table], tuple[str, int]], ...] = (
    _always("n", 0),
    _int,
    _float,
    _always("z", 3),
    _always("u", 3),
    _always("b", 2),
    _decimal,
    _date,
    _in_units("tt", 1),
    _in_units("ts", 0),
    _always("ti", 2),
    _always("+l", 2),
    _always("+s", 1),
    _union,
    _always("w:", 2),
    _fixed_size_list,
    _always("+m", 2),
    _in_units("tD", 1),
    _always("Z", 3),
    _always("U", 3),
    _always("+L", 2),
    _always("+r", 0),
    _always("vz", 2),
    _always("vu", 2),
    _always("+vl", 3),
    _always("+vL", 3),
)
TYPES = dict(zip(count(1), _IN_ORDER, strict=False))  # by their numbers in Schema.fbs
