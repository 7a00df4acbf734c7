"""The interface's page: Swagger UI, with the files of a package that may be there or not.

FastAPI's own page loads them from another host; this one works offline.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.assets import POLICY, Asset
from service.routes.page import serve

PACKAGE = "fastapi_swagger"
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css")
PATHS = ("/docs", *(f"/docs/{name}" for name in ASSETS))
MISSING = "the page of the interface is not installed here: pip install 'sumserve[docs]'"
# Swagger UI draws with styles and pictures that are in its own code.
LOOSER = f"{POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"


def add(app: Starlette) -> None:
    """The page and what it is made of; or 404s that say what to install."""
    folder = installed(PACKAGE)
    if folder is None:
        for path in PATHS:
            app.add_route(path, _missing, include_in_schema=False)
        return
    serve(app, "/docs", Asset.of(files("service.page") / "docs.html", LOOSER))
    for name in ASSETS:
        serve(app, f"/docs/{name}", Asset.of(folder / name))


def installed(package: str) -> Path | None:
    """The folder of its files, found without importing it; None where they are not there."""
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "resources"
        if all((folder / name).is_file() for name in ASSETS):
            return folder
    return None


async def _missing(_: Request) -> Response:
    raise HTTPException(404, MISSING)
