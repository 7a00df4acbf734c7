"""Files that are served as they are: their bytes, and the headers that a browser needs.

It knows no paths: whoever serves a file says which it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. headers: its type and tag, how it is cached, and what the page it is may do."""

    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, file: Traversable, policy: str = POLICY) -> Asset:
        """Read a file; its name's ending says what it is. policy: its Content-Security-Policy."""
        body = file.read_bytes()
        headers = {
            "Content-Type": MEDIA[file.name.rpartition(".")[2]],
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            "Cache-Control": "no-cache",  # kept, and asked for again: a new release shows at once
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return cls(body, headers)

    def answer(self, request: Request) -> Response:
        """The file; or only that it is still the same, to whoever shows its tag."""
        shown = request.headers.get("if-none-match", "")
        tags = {tag.strip().removeprefix("W/") for tag in shown.split(",")}
        if self.headers["ETag"] in tags or "*" in tags:
            return Response(status_code=304, headers=dict(self.headers))
        return Response(self.body, headers=dict(self.headers))
