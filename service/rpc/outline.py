"""What a ModelInferRequest says before it is parsed: which model, and that it is not all crumbs.

An empty tensor is two bytes on the wire and some eighty once it is parsed; so is an empty
parameter, and an empty word takes sixteen or more. So fields are counted first, in the message and
in its tensors, without looking further into them. Source: protobuf's encoding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from service.errors import BadRequest
from service.wires.document import MOST_FIELDS
from service.wires.tensors import MOST_AXES

Body = bytes | bytearray

NAMES = {1: "model_name", 2: "model_version"}
PARAMETERS, SHAPES, OTHERS = "parameters", "bytes of shapes", "other fields"
INPUTS, OUTPUTS, RAW = 5, 6, 7  # the message's fields of tensors
CONTENTS = 5  # an input's field of listed values
OF_MESSAGE = {4: PARAMETERS, INPUTS: "inputs", OUTPUTS: "outputs", RAW: "raw_input_contents"}
OF_TENSOR = {INPUTS: {3: SHAPES, 4: PARAMETERS}, OUTPUTS: {2: PARAMETERS}}
MOST_OTHERS = 64  # fields of a message besides those of its tensors
OF_EACH = 8  # fields of a tensor besides parameters and shape: three, and some that newer ones have
LONGEST = 10  # bytes of a number
MOST_LISTED = 2**22  # values of a message that become larger once they are parsed
VARINTS, WORDS = (1, 2, 3, 4, 5), 8  # such fields of an InferTensorContents
WORD = 8 * WORDS + 2  # how a word begins
BROKEN = "the message is no ModelInferRequest"
VARINT, LONG, SIZED, SHORT = 0, 1, 2, 5  # how a field's value lies on the wire


def outline(body: Body, tensors: int) -> tuple[str, str | None]:
    """The model's name, and its version if there is one. tensors: most of each kind.

    Raises BadRequest for what is no message, or one of far more fields than the limits explain.
    Parameters are counted apart from tensors, those of all tensors with the message's own.
    """
    names, count = {1: "", 2: ""}, Count(tensors)
    for number, kind, start, end in _fields(body, 0, len(body)):
        count.add(OF_MESSAGE.get(number, OTHERS), 1)
        if kind == SIZED and number in NAMES:
            names[number] = _text(body[start:end], NAMES[number])
        elif kind == SIZED and number in OF_TENSOR:
            for within, _, at, stop in _fields(body, start, end):
                what = OF_TENSOR[number].get(within, OTHERS)
                count.add(what, max(1, stop - at) if what == SHAPES else 1)
    return names[1], names[2] or None


def check_listed(body: Body) -> None:
    """BadRequest where a message lists far more values than anybody does who could send them raw.

    Looks at each of them in a large message, so it is for a thread as the parser is.
    """
    if len(body) <= MOST_LISTED:  # each value is a byte at least
        return
    found = 0
    for number, kind, start, end in _fields(body, 0, len(body)):
        if (number, kind) == (INPUTS, SIZED):
            for within, how, at, stop in _fields(body, start, end):
                if (within, how) == (CONTENTS, SIZED):
                    found += _listed(body, at, stop, MOST_LISTED - found)
        if found > MOST_LISTED:
            limit = f"more than {MOST_LISTED} values one by one"
            raise BadRequest(f"the inputs list {limit}; such are sent in raw_input_contents")


class Count:
    """Of a message's fields, by what they are."""

    def __init__(self, tensors: int) -> None:
        self._found = Counter[str]()
        self._most: Mapping[str, int] = {
            PARAMETERS: MOST_FIELDS,
            **{OF_MESSAGE[number]: tensors for number in (INPUTS, OUTPUTS, RAW)},
            SHAPES: tensors * MOST_AXES * LONGEST,
            OTHERS: MOST_OTHERS + tensors * OF_EACH,
        }

    def add(self, what: str, more: int) -> None:
        """So many more. BadRequest where that is too many."""
        self._found[what] += more
        if self._found[what] > self._most[what]:
            raise BadRequest(f"the message has more than {self._most[what]} {what}")


def _listed(body: Body, at: int, end: int, most: int) -> int:
    """How many values there are that take more room than here; a few more than most, if so."""
    found = 0
    while at < end and found <= most:
        if body[at] == WORD and at + 1 < end and body[at + 1] < 128:  # by far the most are so
            at, found = at + 2 + body[at + 1], found + 1
            continue
        number, kind, start, at = _field(body, at, end)
        if kind == SIZED and number in VARINTS:
            packed = np.frombuffer(body, np.uint8)[start:at]
            found += int(np.count_nonzero(packed < 128))  # the last byte of each
        elif kind != SIZED or number == WORDS:
            found += 1
    return found


def _fields(body: Body, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Of the fields there: number, kind, and where the value begins and ends."""
    while at < end:
        found = _field(body, at, end)
        yield found
        at = found[3]


def _field(body: Body, at: int, end: int) -> tuple[int, int, int, int]:
    tag, at = _varint(body, at)
    kind = tag & 7
    if kind == SIZED:
        size, at = _varint(body, at)
    elif kind == VARINT:
        size = _varint(body, at)[1] - at
    elif kind in (LONG, SHORT):
        size = 8 if kind == LONG else 4
    else:
        raise BadRequest(BROKEN)
    if at + size > end:
        raise BadRequest(BROKEN)
    return tag >> 3, kind, at, at + size


def _varint(body: Body, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    found = 0
    for shift, byte in enumerate(body[at : at + LONGEST]):
        found |= (byte & 127) << 7 * shift
        if byte < 128:
            return found, at + shift + 1
    raise BadRequest(BROKEN)


def _text(value: Body, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name}: is not UTF-8") from error
