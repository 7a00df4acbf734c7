"""Every error sumserve raises on purpose. Each class owns its HTTP status.

    SumserveError
    ├── StartupError             the process cannot start: exit code 1, one clear line
    │   ├── SettingsError        names the key
    │   ├── BundleError          names the file
    │   ├── RequestFileError     names the line of a file of inputs
    │   └── DeviceError          names the device asked for
    └── ServiceError             an answer to one request, as {"error": message}
        ├── BadRequest       400
        ├── Unauthorized     401
        ├── Forbidden        403
        ├── UnknownModel     404
        ├── SlowBody         408
        ├── Conflict         409
        ├── TooLarge         413
        ├── UnsupportedMedia 415
        ├── BadBundle        422
        ├── QueueFull        429  with Retry-After
        ├── ClientGone       499  for the log: nobody reads the answer
        ├── StepFailed       500
        ├── NotServing       503  with Retry-After
        ├── DeadlinePassed   504
        └── SpoolFull        507

Messages of ServiceErrors reach the client: they name fields and limits, never paths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

CLOSE = MappingProxyType({"Connection": "close"})
RETRY = MappingProxyType({"Retry-After": "1"})


class SumserveError(Exception):
    """Root of the family."""


class StartupError(SumserveError):
    """The process cannot start."""


class SettingsError(StartupError):
    """A setting is unknown or has a bad value."""


class BundleError(StartupError):
    """A bundle file is missing, corrupted or inconsistent."""


class RequestFileError(StartupError):
    """A file of inputs cannot be read."""


class DeviceError(StartupError):
    """The device asked for is not the device to be had."""


class ServiceError(SumserveError):
    """An answer to one request."""

    status: ClassVar[int] = 500
    headers: Mapping[str, str] = MappingProxyType({})
    reason = ""  # a word for logs and metrics, where the status stands for several


class BadRequest(ServiceError):
    """The request cannot be understood or does not fit the model."""

    status = 400


class Unauthorized(ServiceError):
    """No key was shown, or none that is good."""

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(ServiceError):
    """The key is not one for this."""

    status = 403


class UnknownModel(ServiceError):
    """No model of that name is served."""

    status = 404


class SlowBody(ServiceError):
    """The body did not arrive in time."""

    status = 408
    headers = CLOSE


class Conflict(ServiceError):
    """Another change of what is served is under way."""

    status = 409


class TooLarge(ServiceError):
    """The body is larger than the limit."""

    status = 413
    headers = CLOSE


class UnsupportedMedia(ServiceError):
    """The body's type or encoding is not one the server reads."""

    status = 415


class BadBundle(ServiceError):
    """A bundle of the repository cannot be loaded; what was served is served on."""

    status = 422


class QueueFull(ServiceError):
    """More waits than may, the answer would come too late, or a key has used up its rate."""

    status = 429

    def __init__(self, message: str, retry_after: float = 1.0, reason: str = "") -> None:
        """retry_after: seconds until another try is worth it; reason: what is full, in a word."""
        super().__init__(message)
        self.reason = reason
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}


class ClientGone(ServiceError):
    """The client left before it was answered."""

    status = 499


class StepFailed(ServiceError):
    """The model failed on this request's own input."""


class DeadlinePassed(ServiceError):
    """Its time passed before its answer was there: the request's own, or the server's."""

    status = 504


class NotServing(ServiceError):
    """The server is starting or draining, or had to stop the run; another try may do better."""

    status = 503
    headers = RETRY


class SpoolFull(ServiceError):
    """What a stream keeps between its passes has no more room."""

    status = 507
    headers = CLOSE


def quoted(text: str, most: int = 80) -> str:
    """The beginning of what a client has sent, in quotes, for a message. Escapes are not free."""
    found = repr(text[:most])
    return found if len(found) <= most + 2 else found[: most + 1] + found[0]
