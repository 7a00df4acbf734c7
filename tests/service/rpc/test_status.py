from __future__ import annotations

from grpc import StatusCode

from service.errors import ServiceError
from service.rpc.status import CODES
from tests.service.test_errors import family


def test_every_error_has_a_code_and_no_code_is_of_no_error() -> None:
    statuses = {own.status for own in family(ServiceError) if issubclass(own, ServiceError)}
    assert set(CODES) == {200, *statuses}


def test_only_an_answer_is_ok() -> None:
    assert [status for status, code in CODES.items() if code is StatusCode.OK] == [200]


def test_what_may_go_well_later_or_elsewhere_is_told_from_what_may_not() -> None:
    again = {StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED}
    assert {CODES[status] for status in (409, 429, 503, 507)} == again
    assert not again & {CODES[status] for status in (400, 401, 403, 404, 415, 422, 500)}
