"""Handle the admin port's paths for the classifier in use: list, promote, roll back, discard."""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec

from pointsman.api.admin_handler import answering, body_of
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.routes import Route

NAMED = '{"artifact": "NAME"}, as GET /classifiers names them'
NAMED_OR_NEWEST = f"{NAMED}, or {{}} for the newest"


class _PromoteRequest(msgspec.Struct, forbid_unknown_fields=True):
    artifact: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None


class _DiscardRequest(msgspec.Struct, forbid_unknown_fields=True):
    artifact: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ClassifierRegistry(Protocol):
    """The changes of the classifier in use; each raises HttpError."""

    async def listed(self) -> Response: ...
    async def promote(self, name: str | None) -> Response: ...
    async def roll_back(self) -> Response: ...
    async def discard(self, name: str) -> Response: ...


def classifier_routes(registry: ClassifierRegistry) -> list[Route]:
    """Return the routes `GET /classifiers`, and `POST /classifier/promote`, `/rollback` and `/discard`.

    Promoting takes `{"artifact": NAME}`, or `{}` for the newest; discarding takes the name.
    """

    async def promote(request: Request) -> Response:
        return await registry.promote((await body_of(request, _PromoteRequest, NAMED_OR_NEWEST)).artifact)

    async def discard(request: Request) -> Response:
        return await registry.discard((await body_of(request, _DiscardRequest, NAMED)).artifact)

    return [
        Route("GET", "/classifiers", answering(lambda _: registry.listed())),
        Route("POST", "/classifier/promote", answering(promote)),
        Route("POST", "/classifier/rollback", answering(lambda _: registry.roll_back())),
        Route("POST", "/classifier/discard", answering(discard)),
    ]
