"""Handle the admin port's paths for described categories: list and judge them, add an example, undo it."""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec

from pointsman.api.admin_handler import answering, body_of
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.routes import Route

ADDED = '{"category": "CATEGORY", "text": "PROMPT"}, a category of GET /adapters/described'
UNDONE = '{"id": "ID"}, as GET /adapters/described has it'


class _AddRequest(msgspec.Struct, forbid_unknown_fields=True):
    category: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    text: str


class _UndoRequest(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class DescribedActions(Protocol):
    """The described categories and their kept examples; each method raises HttpError."""

    async def listed(self) -> Response: ...
    async def near(self) -> Response: ...
    async def add(self, category: str, text: str) -> Response: ...
    async def undo(self, example: str) -> Response: ...


def described_routes(described: DescribedActions) -> list[Route]:
    """Return the routes `GET /adapters/described` and `/near`, and `POST /adapters/examples` and `/examples/undo`."""

    async def add(request: Request) -> Response:
        asked = await body_of(request, _AddRequest, ADDED)
        return await described.add(asked.category, asked.text)

    async def undo(request: Request) -> Response:
        return await described.undo((await body_of(request, _UndoRequest, UNDONE)).id)

    return [
        Route("GET", "/adapters/described", answering(lambda _: described.listed())),
        Route("GET", "/adapters/near", answering(lambda _: described.near())),
        Route("POST", "/adapters/examples", answering(add)),
        Route("POST", "/adapters/examples/undo", answering(undo)),
    ]
