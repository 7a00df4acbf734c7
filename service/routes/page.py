"""The page at /: the files of this table, and no others, whatever a client asks for."""

from __future__ import annotations

from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from service.assets import Asset

STYLES = ("tokens", "style", "tables", "parts", "panels")
SCRIPTS = (
    *("answer", "app", "asking", "bars", "board", "charts", "csv", "digits", "docs", "dom"),
    *("files", "ink", "live", "metrics", "models", "npy", "samples", "server", "signature"),
    *("snippets", "tabs", "weights"),
)
NAMES = (
    "favicon.svg",
    *(f"{name}.css" for name in STYLES),
    *(f"{name}.js" for name in SCRIPTS),
)
PATHS = {"/": "index.html", **{f"/page/{name}": name for name in NAMES}}


def add(app: Starlette) -> None:
    """A route for each file."""
    for path, name in PATHS.items():
        serve(app, path, Asset.of(files("service.page") / name))


def serve(app: Starlette, path: str, asset: Asset) -> None:
    """GET and HEAD of one file, at that very path."""

    async def answer(request: Request) -> Response:
        return asset.answer(request)

    app.add_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
