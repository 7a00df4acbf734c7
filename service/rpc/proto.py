"""Reads a .proto file into descriptors: as much of the language as our own file has.

So nothing generated lies in the repository, and no compiler is needed. Whatever else a file has is
a ValueError, and what names mean is protobuf's to find out. Source: the language guide of proto3.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

WORD = re.compile(r"""\s+|//[^\n]*|(?P<word>[\w.]+|"[^"\n]*"|[{}()<>=;,])|(?P<other>.)""")
SCALARS = ("double", "float", "int32", "int64", "uint32", "uint64", "bool", "string", "bytes")


class Words:
    """What a file says, word by word. enums: the names of all there are."""

    def __init__(self, text: str) -> None:
        self._words: list[str] = []
        for found in WORD.finditer(text):
            if found["other"]:
                raise ValueError(f"{found['other']!r} is not read here")
            if found["word"]:
                self._words.append(found["word"])
        self.enums = set(re.findall(r"\benum\s+(\w+)", text))
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether there are more."""
        return self._at < len(self._words)

    def take(self) -> str:
        """The next one."""
        if not self.left:
            raise ValueError("the file ends too early")
        self._at += 1
        return self._words[self._at - 1]

    def expect(self, *wanted: str) -> None:
        """These are next."""
        for one in wanted:
            if (found := self.take()) != one:
                raise ValueError(f"{one!r} is needed, not {found!r}")

    def numbered(self) -> tuple[str, int]:
        """``name = number;``"""
        name = self.take()
        self.expect("=")
        number = int(self.take())
        self.expect(";")
        return name, number


def described(text: str, name: str) -> Any:
    """A file's descriptor, a FileDescriptorProto. name: what it is called in errors of protobuf."""
    words, file = Words(text), FileDescriptorProto(name=name)
    while words.left:
        match words.take():
            case "syntax":
                words.expect("=", '"proto3"', ";")
                file.syntax = "proto3"
            case "package":
                file.package = words.take()
                words.expect(";")
            case "message":
                _message(words, file.message_type.add())
            case "enum":
                _enum(words, file.enum_type.add())
            case "service":
                _service(words, file.service.add())
            case other:
                raise ValueError(f"{other!r} is not read here")
    return file


def _message(words: Words, into: Any) -> None:
    into.name = words.take()
    words.expect("{")
    while (word := words.take()) != "}":
        match word:
            case "message":
                _message(words, into.nested_type.add())
            case "enum":
                _enum(words, into.enum_type.add())
            case "oneof":
                _oneof(words, into)
            case "map":
                _map(words, into)
            case _:
                _field(words, word, into.field.add())


def _oneof(words: Words, into: Any) -> None:
    index = len(into.oneof_decl)
    into.oneof_decl.add(name=words.take())
    words.expect("{")
    while (word := words.take()) != "}":
        _field(words, word, into.field.add(oneof_index=index))


def _field(words: Words, word: str, into: Any) -> None:
    repeated = word == "repeated"
    kind = words.take() if repeated else word
    into.label = _of("LABEL_REPEATED" if repeated else "LABEL_OPTIONAL")
    _set_type(words, kind, into)
    into.name, into.number = words.numbered()


def _map(words: Words, into: Any) -> None:
    """A repeated message of keys and values, which is what a map is on the wire."""
    words.expect("<", "string", ",")
    kind = words.take()
    words.expect(">")
    name, number = words.numbered()
    entry = into.nested_type.add(name="".join(map(str.capitalize, name.split("_"))) + "Entry")
    entry.options.map_entry = True
    for i, (half, of) in enumerate({"key": "string", "value": kind}.items(), 1):
        own = entry.field.add(name=half, number=i, label=_of("LABEL_OPTIONAL"))
        _set_type(words, of, own)
    field = into.field.add(name=name, number=number, label=_of("LABEL_REPEATED"))
    _set_type(words, entry.name, field)


def _set_type(words: Words, kind: str, into: Any) -> None:
    if kind in SCALARS:
        into.type = _of(f"TYPE_{kind.upper()}")
        return
    into.type = _of("TYPE_ENUM" if kind.rpartition(".")[2] in words.enums else "TYPE_MESSAGE")
    into.type_name = kind


def _enum(words: Words, into: Any) -> None:
    into.name = words.take()
    words.expect("{")
    while (word := words.take()) != "}":
        words.expect("=")
        into.value.add(name=word, number=int(words.take()))
        words.expect(";")


def _service(words: Words, into: Any) -> None:
    into.name = words.take()
    words.expect("{")
    while (word := words.take()) != "}":
        if word != "rpc":
            raise ValueError(f"{word!r} is not read here")
        own = into.method.add(name=words.take())
        words.expect("(")
        own.input_type = words.take()
        words.expect(")", "returns", "(")
        own.output_type = words.take()
        words.expect(")", ";")


def _of(name: str) -> Any:
    """A label's or a type's number."""
    return getattr(FieldDescriptorProto, name)
