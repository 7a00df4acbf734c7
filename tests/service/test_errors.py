from __future__ import annotations

from collections.abc import Iterator

from service import errors
from service.errors import ServiceError, SumserveError, quoted


def family(root: type[SumserveError]) -> Iterator[type[SumserveError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from family(child)


def test_the_drawing_shows_every_class_and_its_status() -> None:
    drawing = errors.__doc__ or ""
    for error in family(SumserveError):
        line = next(line for line in drawing.splitlines() if f" {error.__name__} " in line)
        if issubclass(error, ServiceError) and error is not ServiceError:
            assert str(error.status) in line


def test_every_answer_to_a_request_has_a_status_of_its_own() -> None:
    statuses = [e.status for e in family(ServiceError) if issubclass(e, ServiceError)]
    assert len(set(statuses)) == len(statuses)
    assert all(400 <= status < 600 for status in statuses)


def test_what_a_client_sent_is_quoted_in_so_many_characters_whatever_they_are() -> None:
    assert quoted("it's") == '"it\'s"'
    assert quoted("x" * 100) == "'" + "x" * 80 + "'"
    for wild in "\0", "\U000e0001", "\ud800", "'\"", "\\":
        found = quoted(wild * 100, 40)
        assert len(found) <= 42
        assert found[0] == found[-1]
