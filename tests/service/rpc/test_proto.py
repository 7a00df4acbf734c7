"""Our .proto file says of the protocol what Triton's client says of it, and is read as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from service.rpc.messages import file, message, methods
from service.rpc.proto import described

THEIRS = service_pb2.DESCRIPTOR.pool
HEAD = 'syntax = "proto3"; package p; '


def messages(of: Any = None) -> Iterator[Any]:
    """All of our file, those within others too."""
    for own in of.nested_types if of else file().message_types_by_name.values():
        yield own
        yield from messages(own)


def enums() -> Iterator[Any]:
    yield from file().enum_types_by_name.values()
    for own in messages():
        yield from own.enum_types


def about(field: Any) -> tuple[Any, ...]:
    """What must be the same on both sides."""
    kind = field.message_type or field.enum_type
    within = field.containing_oneof
    of = kind.full_name if kind else None
    return field.number, field.type, field.is_repeated, of, within.name if within else None


def test_every_field_has_the_number_the_type_and_the_label_of_the_protocol_s() -> None:
    seen = 0
    for own in messages():
        theirs = THEIRS.FindMessageTypeByName(own.full_name)
        assert own.GetOptions().map_entry == theirs.GetOptions().map_entry
        for field in own.fields:
            seen += 1
            assert about(field) == about(theirs.fields_by_name[field.name]), field.full_name
    assert seen > 100


def test_every_value_of_an_enumeration_has_the_protocol_s_number() -> None:
    found = [own for own in enums() if own.values]
    assert {own.name for own in found} == {"DataType", "Kind"}
    for own in found:
        theirs = THEIRS.FindEnumTypeByName(own.full_name)
        for value in own.values:
            assert value.number == theirs.values_by_name[value.name].number, value.name


def test_every_method_takes_and_gives_the_protocol_s_messages() -> None:
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert len(methods()) == 11
    for path, own in methods().items():
        _, service, name = path.split("/")
        assert service == theirs.full_name
        method = theirs.methods_by_name[name]
        assert own.request.DESCRIPTOR.full_name == method.input_type.full_name
        assert own.response.DESCRIPTOR.full_name == method.output_type.full_name


def test_bytes_of_theirs_are_read_as_ours_and_back() -> None:
    theirs = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\0", b""])
    theirs.parameters["timeout"].int64_param = -5
    theirs.inputs.add(name="x", shape=[2, -1]).contents.fp32_contents.extend([1.5, -2])
    ours = message("ModelInferRequest").FromString(theirs.SerializeToString())
    assert ours.parameters["timeout"].WhichOneof("parameter_choice") == "int64_param"
    assert [*ours.inputs[0].contents.fp32_contents] == [1.5, -2]
    assert service_pb2.ModelInferRequest.FromString(ours.SerializeToString()) == theirs


def test_a_file_is_read_word_by_word_with_its_comments_left_out() -> None:
    text = "message A { // B {\n repeated int32 b = 3; oneof c { bool d = 1; E e = 2; } }"
    found = described(HEAD + text + "enum E { ZERO = 0; }", "a.proto")
    (own,) = found.message_type
    assert [(f.name, f.number, f.type_name) for f in own.field] == [
        ("b", 3, ""),
        ("d", 1, ""),
        ("e", 2, "E"),
    ]
    assert [f.HasField("oneof_index") for f in own.field] == [False, True, True]
    assert own.field[2].type == own.field[2].TYPE_ENUM


@pytest.mark.parametrize(
    "text",
    [
        'syntax = "proto2";',
        'import "other.proto";',
        HEAD + "message A {",
        HEAD + "message A { int32 a; }",
        HEAD + "message A { int32 a = one; }",
        HEAD + "message A { int32 a = 1 [deprecated = true]; }",
        HEAD + "message A { map<int32, int32> a = 1; }",
        HEAD + "message A { reserved 1; }",
        HEAD + "service S { option x = 1; }",
        HEAD + "service S { rpc M(stream A) returns (A); }",
        HEAD + "option java_package = p;",
    ],
)
def test_what_is_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is needed|is not read|too early|invalid literal"):
        described(text, "a.proto")
