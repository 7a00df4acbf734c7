"""What the server says of itself is so: schemathesis asks it whatever its description allows, and
what it does not.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks

from service.api import create_app
from service.keys import Entry, Keys
from service.server import load
from service.settings import Settings
from tests.conftest import SHIPPED

load_all_checks()
EXAMPLES = 25  # of each operation


@pytest.fixture(scope="session")
def described() -> Any:
    """The shipped bundles in this process."""
    service = load(Settings(models=SHIPPED))
    service.readiness.started = True
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service))


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
def test_every_answer_is_as_described(case: schemathesis.Case) -> None:
    response = case.call()
    case.validate_response(response)
    assert response.status_code < 600
