"""What the server says of itself is so: schemathesis asks it whatever its description allows, and
what it does not.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from benchmarks.process import ServerProcess
from tests.service.test_description import OPERATIONS

load_all_checks()
EXAMPLES = 25  # of each operation
BINARY = "application/vnd.apache.arrow.stream", "application/x-ndjson", "application/octet-stream"
# No schema says what only a model knows: how wide its vectors are, how long its sequences.
EXCLUDED = [positive_data_acceptance]


@schemathesis.serializer(*BINARY)
def as_it_is(_: Any, value: Any) -> bytes:
    """What is no JSON is bytes, or text."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="session")
def described(server: ServerProcess) -> Any:
    """A real server of the shipped bundles, by its own description."""
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_as_described(described: Any, name: str) -> None:
    method, path = name.split()
    statuses = []

    @given(case=described[path][method].as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], database=None
    )
    def check(case: Any) -> None:
        response = case.call(timeout=10)
        case.validate_response(response, excluded_checks=EXCLUDED)
        statuses.append(response.status_code)

    check()
    assert statuses
    assert max(statuses) < 500
