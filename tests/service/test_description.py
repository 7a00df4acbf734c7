"""What the OpenAPI description says of every route."""

from __future__ import annotations

from typing import Any

import pytest

from service.api import create_app
from service.errors import ServiceError
from tests.service.client import Client
from tests.service.fakes import service

PAGE: dict[str, Any] = Client(create_app(service())).get("/openapi.json").json()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in PAGE["paths"].items()
    for method, operation in methods.items()
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_who_may_ask_and_what_comes_back(name: str) -> None:
    own = OPERATIONS[name]
    denied = {"401", "403"} & own["responses"].keys()
    assert denied == (set() if "/health/" in name else {"401", "403"})
    assert ("security" in own) == bool(denied)
    for status, answer in own["responses"].items():
        assert "X-Request-Id" in answer["headers"]
        assert ("Retry-After" in answer["headers"]) == (status in ("429", "503"))
        assert answer["description"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_has_an_example_and_says_what_it_is(name: str) -> None:
    for own in OPERATIONS[name].get("parameters", []):
        assert own["description"]
        assert own["in"] == "header" or own["example"]
    assert "operationId" in OPERATIONS[name]


@pytest.mark.parametrize("name", [own for own in OPERATIONS if own.startswith("GET ")])
def test_answers_have_the_headers_that_are_described(name: str) -> None:
    path = name[4:].replace("{name}", "ids").replace("{version}", "3")
    answer = Client(create_app(service())).get(path)
    described = OPERATIONS[name]["responses"][str(answer.status_code)]["headers"].keys()
    assert ("X-Model" in described) == ("x-model" in answer.headers) == ("/models/ids" in path)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_parameter_is_there_twice_and_none_of_a_path_is_one_of_a_query(name: str) -> None:
    found = [(own["name"], own["in"]) for own in OPERATIONS[name].get("parameters", [])]
    assert len(set(found)) == len(found)
    assert ("version", "query") not in found


def test_operations_are_told_apart() -> None:
    ids = [own["operationId"] for own in OPERATIONS.values()]
    assert len(set(ids)) == len(ids) > 20


def test_errors_are_described_by_their_own_words_and_none_is_of_the_framework() -> None:
    said = {
        status: answer["description"]
        for own in OPERATIONS.values()
        for status, answer in own["responses"].items()
    }
    words = {str(error.status): error.__doc__ for error in ServiceError.__subclasses__()}
    documented = said.keys() & words.keys()
    assert {status: said[status] for status in documented} == {s: words[s] for s in documented}
    assert words.keys() - said.keys() == {"499"}, "nobody reads that one"
    assert "ValidationError" not in str(PAGE)
