"""Handle the admin port's paths for the kept configs: list, roll back, follow the file again."""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec

from pointsman.api.admin_handler import answering, body_of
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.routes import Route

FORM = '{"number": N}, as GET /configs numbers them, or {} for the one before'


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Keeper(Protocol):
    """Keeps the configs, and serves one of them in place of the file's; each raises HttpError."""

    async def listed(self) -> Response: ...
    async def roll_back(self, number: int | None) -> Response: ...
    async def follow(self) -> Response: ...


def config_routes(keeper: Keeper) -> list[Route]:
    """Return the routes `GET /configs`, `POST /config/rollback` with `{"number": N}` or `{}`, and `/config/follow`."""

    async def roll_back(request: Request) -> Response:
        return await keeper.roll_back((await body_of(request, _Wanted, FORM)).number)

    return [
        Route("GET", "/configs", answering(lambda _: keeper.listed())),
        Route("POST", "/config/rollback", answering(roll_back)),
        Route("POST", "/config/follow", answering(lambda _: keeper.follow())),
    ]
