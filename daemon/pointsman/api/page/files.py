"""Serve the files of the page. They are the same on every host: the page gets its data from the guarded paths."""

from __future__ import annotations

from pathlib import Path

from pointsman.api.admin_guard import PAGE, PAGE_FILES
from pointsman.server.request import Handler, Request
from pointsman.server.response import Pairs, Response
from pointsman.server.routes import Route

FOLDER = Path(__file__).parent / "static"
_FIRST = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Injected content runs no script, adds no style, sends no request elsewhere, and no other page can embed this one.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Pairs = [
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]


def page_routes() -> list[Route]:
    """Return the routes of the page's files, which are read once."""
    return [
        Route("GET", PAGE if file.name == _FIRST else PAGE_FILES + file.name, _file(file))
        for file in sorted(FOLDER.iterdir())
    ]


def _file(file: Path) -> Handler:
    body, content_type = file.read_bytes(), _TYPES[file.suffix]

    async def handler(_: Request) -> Response:
        return Response(body=body, content_type=content_type, headers=list(_HEADERS))

    return handler
